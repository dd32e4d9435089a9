"""The server's configuration: which folder it serves, and which version is called champion.

Fields: tensorflow_serving/config/model_server_config.proto (`ModelConfig`: name, base_path, model_platform,
model_version_policy, version_labels).  The server reads the file anew every `--model_config_file_poll_wait_seconds`.
"""

import json
from pathlib import Path

from hopline.store import folders

LABEL = "champion"

_TEXT = """\
# Written by components.follow.  All versions in the folder: "latest" would ignore a rollback to a lower number.
model_config_list {{
  config {{
    name: {name}
    base_path: {base_path}
    model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "{label}" value: {version} }}
  }}
}}
"""


class ServingConfig:
    """The file `path`, which nobody else writes.

    Args:
        path: of the file; its folder is made if it is not there.
        name: of the model.
        models: the server's base path for it.
    """

    def __init__(self, path: Path, name: str, models: Path) -> None:
        self._path, self._name, self._models = path, name, models

    @property
    def exists(self) -> bool:
        """Whether the server has something to read."""
        return self._path.exists()

    def label(self, version: int) -> None:
        """Gives the label to `version`, if it has it not already."""
        text = _TEXT.format(
            name=json.dumps(self._name), base_path=json.dumps(str(self._models)), label=LABEL, version=version
        )
        if not self.exists or self._path.read_text(encoding="utf-8") != text:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            folders.write_text(self._path, text)
