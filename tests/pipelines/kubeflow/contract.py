"""What the published client of the Kubeflow Pipelines API says of every request and answer.

The client is generated from the API's specification and carries it in its code: each method names its path, its
parameters and the model of its body; each model names its fields and their types.
"""

import inspect
import re
from dataclasses import dataclass
from datetime import datetime

import kfp_server_api

SERVICES = [getattr(kfp_server_api, name) for name in dir(kfp_server_api) if name.endswith("ServiceApi")]
PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object}


class RefusedError(Exception):
    """The request or the answer is not of the published form."""


def require(holds, rule):
    if not holds:
        raise RefusedError(rule)


@dataclass(frozen=True)
class Operation:
    """One thing that the API does.

    Attributes:
        name: of the client's method.
        path: with {names} in it.
        query: the types of its query parameters by name.
        body: the type of its body, or None.
        file: whether it takes a file instead.
        answer: the type of what it returns.
    """

    name: str
    method: str
    path: str
    query: dict
    body: str | None
    file: bool
    answer: str

    def match(self, method, path):
        """The values in the path if the request is for this, else None."""
        pattern = re.sub(r"\\{([a-z_]+)\\}", r"(?P<\1>[^/:]+)", re.escape(self.path).replace(r"\.", "."))
        found = re.fullmatch(pattern, path) if method == self.method else None
        return found.groupdict() if found else None

    def check(self, query, body, file):
        """Raises `RefusedError` unless the parameters and the body are of their types."""
        require(query.keys() <= self.query.keys(), f"{self.name} knows {sorted(self.query)}, not {sorted(query)}")
        for name, value in query.items():
            require(self.query[name] != "int" or value.isdecimal(), f"{name}={value} is no number")
            require(value != "", f"{name} is empty")
        require((file is not None) == self.file, f"{self.name} takes {'a' if self.file else 'no'} file")
        require(self.body or body is None, f"{self.name} takes no body")
        if self.body:
            require(body is not None, f"{self.name} takes a body")
            check(self.body, body, self.name)


def check(kind, value, place):
    """Raises `RefusedError` unless `value`, of JSON, is of the type `kind`, as the client's models have it."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        require(isinstance(value, list), f"{place} is no list")
        for index, item in enumerate(value):
            check(found[1], item, f"{place}[{index}]")
    elif found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        require(isinstance(value, dict), f"{place} is no object")
        for key, item in value.items():
            check(found[1], item, f"{place}.{key}")
    elif kind == "datetime":
        require(isinstance(value, str) and datetime.fromisoformat(value).tzinfo, f"{place} is no time with a zone")
    elif kind in PLAIN:
        right = isinstance(value, PLAIN[kind]) and (kind in {"bool", "object"} or not isinstance(value, bool))
        require(right, f"{place} is {value!r}, no {kind}")
    else:
        _check_model(getattr(kfp_server_api, kind), value, place)


def _check_model(model, value, place):
    words = {name: word for name, word in vars(model).items() if name.isupper()}
    if words:
        require(value in words.values(), f"{place} is {value!r}, none of {sorted(words)}")
        return
    require(isinstance(value, dict), f"{place} is no object")
    types = {model.attribute_map[attribute]: kind for attribute, kind in model.openapi_types.items()}
    for key, item in value.items():
        require(key in types, f"{place} has no field {key}")
        check(types[key], item, f"{place}.{key}")
    fields = {attribute: value.get(key) for attribute, key in model.attribute_map.items()}
    try:
        model(**fields)  # which checks what is required
    except ValueError as error:
        raise RefusedError(f"{place}: {error}") from error


def operations():
    """All that the API does."""
    found = []
    for service in SERVICES:
        for name, function in inspect.getmembers(service, inspect.isfunction):
            if name.endswith("_with_http_info"):
                found.append(_operation(name.removesuffix("_with_http_info"), inspect.getsource(function)))
    return found


def _operation(name, source):
    path, method = re.search(r"call_api\(\s*'(.+?)', '(.+?)'", source).groups()
    types = dict(re.findall(r":type (\w+): (\S+)\n", source))
    query = {key: types[local] for key, local in re.findall(r"query_params\.append\(\('(.+?)', \w+\['(.+?)'", source)}
    body = re.search(r"body_params = \w+\['(.+?)'\]", source)
    file = "local_var_files['uploadfile']" in source
    answer = re.search(r"response_type='(.+?)'", source)[1]
    return Operation(name, method, path, query, types[body[1]] if body else None, file, answer)
