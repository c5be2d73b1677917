"""DICOM series as a scanner writes them, with a patient's name in them; made with pydicom."""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def write_series(
    folder: Path,
    number: int = 3,
    description: str = "T2 TSE AX",
    n_slices: int = 12,
    te_ms: float = 120,
    patient: str = "Doe^Jane",
) -> None:
    """Write one axial series of 32 x 32 pixels of 1 mm in slices of 3 mm: a bright ball with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = (generate_uid(entropy_srcs=[word]) for word in (f"{folder.name}{number}", "study"))
    rng = np.random.default_rng(number)
    for index in range(n_slices):
        x, y = np.indices((32, 32)) - 16
        inside = x**2 + y**2 + (3 * (index - n_slices / 2)) ** 2 < 144
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, study
        one.PatientName, one.PatientID, one.PatientBirthDate = patient, "4711", "20200101"
        one.Modality, one.Manufacturer, one.ImageType = "MR", "SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"]
        one.StudyDate = one.SeriesDate = one.AcquisitionDate = "20200301"
        one.StudyTime = one.SeriesTime = one.AcquisitionTime = "101500"
        one.SeriesDescription, one.ProtocolName = description, description
        one.SeriesNumber, one.AcquisitionNumber, one.InstanceNumber = number, 1, index + 1
        one.EchoTime, one.RepetitionTime = te_ms, 4000
        one.ImagePositionPatient, one.ImageOrientationPatient = [-16, -16, 3.0 * index], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices = [1, 1], 3, 3
        one.Rows, one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation = 32, 32, 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.PixelData = (800 * inside + rng.integers(20, 60, (32, 32))).astype(np.uint16).tobytes()
        one.save_as(folder / f"{number:03d}_{index:03d}.dcm", enforce_file_format=True)
