import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.geometry import resample_isotropic
from segsrgan_study.steps.data.images import resample_labels


def test_labels_become_the_class_with_the_largest_share():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:3] = 3
    coarse = resample_labels(Nifti1Image(labels, np.eye(4)), 2.0)
    assert np.asarray(coarse.dataobj)[0].tolist() == np.full((2, 2), 3).tolist()
    assert np.asarray(coarse.dataobj).dtype == np.uint8
    same = resample_isotropic(Nifti1Image(labels.astype(np.float32), np.eye(4)), 2.0)
    np.testing.assert_array_equal(coarse.affine, same.affine)
    assert set(np.unique(coarse.dataobj)) <= {0, 3}


def test_labels_on_their_own_grid_are_left_alone_and_on_a_slightly_other_one_are_not():
    labels = Nifti1Image(np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.eye(4))
    assert resample_labels(labels, 1.0) is labels
    assert resample_labels(labels, 1.001) is not labels


def test_a_finer_label_is_that_of_the_nearest_voxel():
    labels = np.array([1, 1, 4, 4, 2, 2], np.uint8).reshape(6, 1, 1) * np.ones((6, 6, 6), np.uint8)
    fine = np.asarray(resample_labels(Nifti1Image(labels, np.eye(4)), 0.5).dataobj)
    assert fine[:, 6, 6].tolist() == [1] * 4 + [4] * 4 + [2] * 4
