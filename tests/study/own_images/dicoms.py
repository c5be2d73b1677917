"""DICOM series as a scanner writes them, with a patient's name in them; made with pydicom."""

from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid


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


def write_enhanced(folder: Path, missing: tuple[int, ...] = (), repeats: int = 1) -> None:
    """Write the series of `write_series` as one multi-frame file, without some slices or with each given again."""
    slices = _slices(folder)
    kept = [one for index, one in enumerate(slices) if index not in missing] * repeats
    whole, shared = slices[0], Dataset()
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    facts = {name: whole[name].value for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")}
    shared.PixelMeasuresSequence = [_dataset(**facts)]
    shared.PlaneOrientationSequence = [_dataset(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.MREchoSequence = [_dataset(EffectiveEchoTime=120.0)]
    frames = []
    for number, one in enumerate(kept, start=1):
        place = [_dataset(ImagePositionPatient=one.ImagePositionPatient)]
        content = [_dataset(DimensionIndexValues=[1, number], StackID="1", InStackPositionNumber=number)]
        frames.append(_dataset(PlanePositionSequence=place, FrameContentSequence=content))
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], frames
    whole.NumberOfFrames, whole.PixelData = len(kept), b"".join(one.PixelData for one in kept)
    for name in (*facts, "ImagePositionPatient", "ImageOrientationPatient", "EchoTime"):
        delattr(whole, name)
    dcmwrite(folder / "enhanced.dcm", whole, enforce_file_format=True)


def write_mosaic(folder: Path, count: int | None) -> None:
    """Write the series of `write_series` as one Siemens mosaic of 4 x 4 tiles; None: the header tells no number."""
    slices = _slices(folder)
    tiles = np.zeros((4, 32, 4, 32), np.uint16)
    for index, one in enumerate(slices):
        tiles[index // 4, :, index % 4] = np.frombuffer(one.PixelData, np.uint16).reshape(32, 32)
    whole = slices[0]
    whole.ImageType, whole.ImagePositionPatient = [*whole.ImageType, "MOSAIC"], [-64, -64, 0]
    whole.Rows, whole.Columns, whole.PixelData = 128, 128, tiles.tobytes()
    if count:
        whole.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        whole.add_new(0x0019100A, "US", count)
    dcmwrite(folder / "mosaic.dcm", whole)


def _slices(folder: Path) -> list[Dataset]:
    """Write a series, and take it from the folder again."""
    write_series(folder)
    paths = sorted(folder.glob("003_*.dcm"))
    slices = [dcmread(path) for path in paths]
    for path in paths:
        path.unlink()
    return slices


def _dataset(**elements) -> Dataset:
    dataset = Dataset()
    dataset.update(elements)
    return dataset
