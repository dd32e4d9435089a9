"""The REST interface of TensorFlow Serving, for one model: status, metadata and predict."""

import base64
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from starlette.exceptions import HTTPException
from starlette.responses import Response
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.tensor_util import MakeNdarray

from hopline.runtime.errors import UserError
from hopline.schema import SAVED_MODEL_FOLDER
from hopline.use.model import Model
from hopline.use.requests import ServeRequest

if TYPE_CHECKING:
    from components.use.serve import Work

LABEL = "champion"
_LARGE = {"alternatives", "states", "attention"}  # their answers have many numbers for each word
_LARGE_CHARACTERS, _MOST_K = 10_000, 100
_PATH = re.compile(
    r"(?P<name>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(?P<what>/metadata|:predict)?"
)


class TfServing:
    """Answers below `/v1/models/`.

    Args:
        model: the model.
        request: its name, and whether it is the champion.
        work: where it computes.
    """

    def __init__(self, model: Model, request: ServeRequest, work: "Work") -> None:
        self._model, self._request, self._work = model, request, work
        self._version = model.located.version or 1
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((model.located.folder / SAVED_MODEL_FOLDER / "saved_model.pb").read_bytes())
        self._definitions = dict(saved.meta_graphs[0].signature_def)

    async def answer(self, rest: str, body: Any) -> Response:
        """The answer for the path after `/v1/models/`; `body` is None for a GET.

        Raises:
            HTTPException: there is no such model, version or label.
            UserError: the body is no request for the model.
        """
        path = _PATH.fullmatch(rest)
        if path is None or path["name"] != self._request.name:
            raise HTTPException(404, f"the model served is {self._request.name}")
        if path["version"] and int(path["version"]) != self._version:
            raise HTTPException(404, f"the version served is {self._version}")
        if path["label"] and not (path["label"] == LABEL and self._request.champion):
            raise HTTPException(404, f"no version served has the label {path['label']}")
        if (path["what"] == ":predict") != (body is not None):
            raise HTTPException(405, "POST to :predict, GET all else")
        if path["what"] == ":predict":
            return _json(await self._work.call(self._predict, body))
        return _json(self._metadata() if path["what"] else self._status())

    def _status(self) -> dict[str, Any]:
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(self._version), "state": "AVAILABLE", "status": status}]}

    def _metadata(self) -> dict[str, Any]:
        signatures = {
            name: MessageToDict(definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, definition in self._definitions.items()
            if not name.startswith("__")
        }
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        return {
            "model_spec": {"name": self._request.name, "signature_name": "", "version": str(self._version)},
            "metadata": {"signature_def": {"@type": kind, "signature_def": signatures}},
        }

    def _predict(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or ("inputs" in body) == ("instances" in body):
            raise UserError('the body must have either "inputs" or "instances"', remedy="send one of them")
        signature = body.get("signature_name", "serving_default")
        definition = self._definitions.get(signature) if isinstance(signature, str) else None
        if definition is None or str(signature).startswith("__"):
            raise UserError(f"there is no signature {signature!r}", remedy="ask /metadata for those there are")
        names = sorted(definition.inputs)
        by_row = "instances" in body
        given = _columns(body["instances"], names) if by_row else body["inputs"]
        if not isinstance(given, dict) or set(given) == {"b64"}:
            if len(set(names) - set(definition.defaults)) != 1:
                raise UserError(f"the inputs {', '.join(names)} need names", remedy="send an object")
            [single] = set(names) - set(definition.defaults)
            given = {single: given}
        defaults = {name: MakeNdarray(value) for name, value in definition.defaults.items()}
        inputs = {**defaults, **{name: _decoded(value) for name, value in given.items()}}
        self._require_bounded(signature, inputs)
        outputs = self._model.exported.call(signature, **inputs)
        if not by_row:
            plain = {name: _plain(value) for name, value in outputs.items()}
            return {"outputs": next(iter(plain.values())) if len(plain) == 1 else plain}
        return {"predictions": _rows(outputs, len(body["instances"]))}

    def _require_bounded(self, signature: str, inputs: dict[str, Any]) -> None:
        """Refuses what would take all the memory or time there is."""
        for name, most in (("tokens", self._request.max_tokens), ("k", _MOST_K)):
            value = np.asarray(inputs.get(name, 0))
            if not np.issubdtype(value.dtype, np.integer) or value.ndim or not 0 <= value <= most:
                raise UserError(f"{name} must be a whole number from 0 to {most:,}", remedy=f"correct {name}")
        text = inputs.get("text")
        if signature in _LARGE and isinstance(text, str | bytes) and len(text) > _LARGE_CHARACTERS:
            raise UserError(
                f"{signature} takes a text of {_LARGE_CHARACTERS:,} characters at most",
                remedy="send it in pieces, each with the context that the answer before gave",
            )


def _columns(instances: Any, names: list[str]) -> Any:
    """The rows of a request as one list for each input."""
    if not isinstance(instances, list) or not instances:
        raise UserError('"instances" must be a list of one row at least', remedy='or use "inputs"')
    if not all(isinstance(row, dict) and set(row) != {"b64"} for row in instances):
        return instances
    if any(set(row) != set(instances[0]) for row in instances):
        raise UserError("the rows have different inputs", remedy=f"give each the same of {', '.join(names)}")
    return {name: [row[name] for row in instances] for name in instances[0]}


def _rows(outputs: dict[str, Any], count: int) -> list[Any]:
    ragged = [name for name, value in outputs.items() if value.shape[:1] != (count,)]
    if ragged:
        raise UserError(
            f"{', '.join(ragged)} has not one row for each instance", remedy='use "inputs", which answers by columns'
        )
    plain = {name: _plain(value) for name, value in outputs.items()}
    if len(plain) == 1:
        return list(next(iter(plain.values())))
    return [{name: values[row] for name, values in plain.items()} for row in range(count)]


def _decoded(value: Any) -> Any:
    """The value with `{"b64": ...}` as bytes, at any depth."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f'an object must be {{"b64": "..."}}: {error}', remedy="correct it") from error
    return value


def _plain(array: Any) -> Any:
    """The array as JSON's lists; text as text, what is not finite as null."""
    if array.dtype == object:
        return _each(array.tolist(), lambda text: text.decode("utf-8", errors="replace"))
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        return _each(array.tolist(), lambda number: number if math.isfinite(number) else None)
    return array.tolist()


def _each(value: Any, function: Any) -> Any:
    return [_each(item, function) for item in value] if isinstance(value, list) else function(value)


def _json(content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False).encode(), media_type="application/json")
