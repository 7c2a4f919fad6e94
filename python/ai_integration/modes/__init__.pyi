from typing import List

from . import testing_modes as testing_modes

__all__: List[str]

def files_in(folder: str) -> List[str]: ...
