from array import array

class Kernel:
    def __init__(self, table: bytes) -> None: ...
    def take(
        self, text: str, start: int, limit: int, second: int, first: int, sums: array[int]
    ) -> tuple[int, int, int, int]: ...
