"""The resources of UPS, ``ups.dev/v1alpha1``, as pydantic models.

>>> from ups_core.api import TrainingRun
>>> run = TrainingRun.model_validate({
...     "metadata": {"name": "demo"},
...     "spec": {"datasetRef": {"name": "demo"}, "stages": [{"name": "operator", "config": {"steps": 10}}]},
... })
>>> run.spec.stages[0].checkpoint.keep
3

Neither torch nor h5py is imported here, nor by anything this package imports.
"""

from ups_core.api.common import API_VERSION, GROUP, VERSION
from ups_core.api.computeclass import ComputeClass
from ups_core.api.dataset import Dataset
from ups_core.api.trainingrun import TrainingRun

#: Kind to model, in the order the documentation lists them.
KINDS = {"Dataset": Dataset, "TrainingRun": TrainingRun, "ComputeClass": ComputeClass}

__all__ = ["API_VERSION", "GROUP", "KINDS", "VERSION", "ComputeClass", "Dataset", "TrainingRun"]
