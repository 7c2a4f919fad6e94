from typing import List

__all__: List[str]

def files_in(folder: str) -> List[str]: ...
