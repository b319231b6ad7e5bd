"""What the REST and the gRPC form of the Open Inference Protocol share: its models are endpoints.

Tensors become a `Call`, an answer becomes tensors, and an endpoint is described. How each goes over the wire is left
to `v2` and `grpc_server`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from headrace.endpoints.service import Call
from headrace.endpoints.v2_tensors import BOOL, BYTES, NUMBERS, refused, to_rows
from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headrace.endpoints.service import Answered, Field, Served, Service
    from headrace.endpoints.tables import Table
    from headrace.endpoints.v2_tensors import Tensor

PREDICTION: Final = "prediction"
ID: Final = "id"
OUTPUTS: Final = {PREDICTION: "FP64", ID: BYTES}
PLATFORM: Final = "headrace"
DATATYPE_OF_KIND: Final = {"number": "FP64", "boolean": BOOL, "text": BYTES}
ACCEPTED: Final = {"number": frozenset(NUMBERS), "boolean": frozenset({BOOL}), "text": frozenset({BYTES})}

AT: Final = "at"
NAN_IS_MISSING: Final = "nan_is_missing"
PARAMETERS: Final = (AT, NAN_IS_MISSING)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request says beside its tensors.

    `at` is the cut-off of the features that are looked up, in microseconds since 1970 (None: now).
    """

    at: int | None = None
    nan_is_missing: bool = False


def server(extensions: Sequence[str]) -> dict[str, object]:
    """The metadata of the server."""
    return {"name": PLATFORM, "version": version("headrace"), "extensions": list(extensions)}


def model(service: Service, endpoint: str, key: str | None) -> dict[str, object]:
    """The metadata of an endpoint, or of one version of it. Raises HR901, HR902, HR903."""
    versions = loaded(service, endpoint)
    served = versions[0] if key is None else service.traffic.version(endpoint, key)
    return {
        "name": endpoint,
        "versions": [each.key for each in versions],
        "platform": PLATFORM,
        "inputs": [{"name": each.name, "datatype": _datatype(each), "shape": [-1]} for each in served.fields],
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()],
    }


def ready(service: Service, endpoint: str, key: str | None) -> bool:
    """Whether an endpoint, or one version of it, answers. Raises HR901, HR902, HR903."""
    loaded(service, endpoint)
    if key is not None:
        service.traffic.version(endpoint, key)
    return service.ready()


def loaded(service: Service, endpoint: str) -> Sequence[Served]:
    """The loaded versions of an endpoint, at least one. Raises HR901, HR902."""
    traffic = service.traffic
    found = traffic.versions(endpoint) if endpoint in traffic.endpoints() else ()
    if not found:
        traffic.route(endpoint)  # says which of the two it is
        raise HeadraceError("HR902", f"no version of the endpoint {endpoint!r} is live")
    return found


def parameters(given: Mapping[str, object]) -> Parameters:
    """The parameters of a request. Raises HR923 for one that is unknown, or of another type."""
    refuse_unknown(given, PARAMETERS)
    at, nan_is_missing = given.get(AT), given.get(NAN_IS_MISSING, False)
    if at is not None and type(at) is not int:
        raise HeadraceError("HR923", f"the parameter {AT!r} is no integer (microseconds since 1970)")
    if not isinstance(nan_is_missing, bool):
        raise HeadraceError("HR923", f"the parameter {NAN_IS_MISSING!r} is no boolean")
    return Parameters(at, nan_is_missing)


def refuse_unknown(given: Mapping[str, object], known: Collection[str], of: str = "request", name: str = "") -> None:
    """Raise HR923 for a parameter that nothing would heed. `of` says of what it is one, and `name` of which."""
    for each in given:
        if each not in known:
            owner = f"the {of} {name!r}" if name else f"the {of}"
            raise HeadraceError("HR923", f"{owner} has the parameter {each!r}; {did_you_mean(each, known)}")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The heads and the values of the tensors of a request: as columns, or as a table where all are finite floats."""

    heads: Sequence[Tensor]
    columns: Sequence[Sequence[object]] = ()
    table: Table | None = None


def refuse_heads(service: Service, endpoint: str, key: str | None, heads: Sequence[Tensor]) -> None:
    """Refuse, before their values are read, tensors that are no input, come twice or differ in length.

    Without a version, an input of any loaded version will do: which one answers is known later, and that one checks
    the rows again. Raises HR901, HR902, HR903, HR915.
    """
    versions = [service.traffic.version(endpoint, key)] if key else loaded(service, endpoint)
    kinds = _kinds(versions)
    if not heads:
        raise refused("the request has no inputs")
    met: set[str] = set()
    for each in heads:
        accepted = kinds.get(each.name)
        if accepted is None:
            raise refused(f"the endpoint {endpoint!r} has no input {each.name!r}; {did_you_mean(each.name, kinds)}")
        if each.datatype not in accepted:
            known = ", ".join(sorted(accepted))
            raise refused(f"the input {each.name!r} is of the datatype {each.datatype}; it takes {known}")
        if each.name in met:
            raise refused(f"the input {each.name!r} is given twice")
        if each.rows != heads[0].rows:
            lengths = f"{each.rows} rows, {heads[0].name!r} has {heads[0].rows}"
            raise refused(f"the input {each.name!r} has {lengths}")
        met.add(each.name)


def call_of(endpoint: str, key: str | None, inputs: Inputs, given: Parameters) -> Call:
    """The call that the tensors of a request make."""
    names = [each.name for each in inputs.heads]
    rows = inputs.table or to_rows(names, inputs.columns)
    return Call(endpoint, rows, at=given.at, version=key or None)


def refuse_outputs(names: Sequence[str]) -> None:
    """Refuse outputs that no endpoint has, or that are asked for twice. Raises HR915."""
    for number, name in enumerate(names):
        if name not in OUTPUTS:
            raise refused(f"there is no output {name!r}; {did_you_mean(name, OUTPUTS)}")
        if name in names[:number]:
            raise refused(f"the output {name!r} is asked for twice")


def answer_parameters(answered: Answered) -> dict[str, str]:
    """What an answer says of who made it, beside the version: `versions` where two answer the rows of one request."""
    versions = ",".join(dict.fromkeys(version for version, _ in answered.made))
    return {"model": answered.model, **({"versions": versions} if versions else {})}


def _datatype(field: Field) -> str:
    return DATATYPE_OF_KIND[field.kind]


def _kinds(versions: Sequence[Served]) -> dict[str, frozenset[str]]:
    """The datatypes that each input takes, in any of the versions."""
    found: dict[str, frozenset[str]] = {}
    for served in versions:
        for each in served.fields:
            accepted = ACCEPTED[each.kind]
            found[each.name] = accepted | found.get(each.name, accepted)
    return found
