"""Names of datasets, which are folders of the embedded store."""

import re

from engine.errors import BadInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def checked_dataset(dataset: str) -> str:
    """The name. Raises ``BadInput`` for one that could leave the store's folder."""
    if not NAME.fullmatch(dataset):
        raise BadInput("bad_name", "dataset", dataset, "1-63 of a-z, 0-9, _ and -, not starting with _ or -")
    return dataset
