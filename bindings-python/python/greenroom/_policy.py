"""Policies: permissions of participants in an agent's session, on top of LiveKit's grant."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from greenroom import _checks
from greenroom.errors import InvalidArgument

__all__ = ["AuditCallback", "ConcurrentTurns", "Policy", "Scope"]

Scope: TypeAlias = Literal["observe", "drive", "io"]
"""Scope that a request needs on top of the grant: `observe` to see events, history, state and
usage; `drive` to speak as the user and to end simulations; `io` to enable and disable inputs and
outputs."""

ConcurrentTurns: TypeAlias = Literal["queue", "refuse"]
"""Handling of a text turn that arrives during another: it is queued, or refused with an error."""

AuditCallback: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Called with each line of the audit log, one for each decision: `sid` and `identity` of the
participant, the request (`asked`) and the `decision`."""

_ALL: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Scopes of the holders of the grant. Participants without the grant are always denied.

    A plain mapping of identities to scopes is short for `Policy(by_identity=...)`.
    """

    default: Collection[Scope] = _ALL
    """Scopes of participants that `by_identity` doesn't list. All by default."""
    by_identity: Mapping[str, Collection[Scope]] = field(default_factory=dict)
    """Scopes by identity; an empty collection permits nothing."""
    hidden: Collection[str] = ()
    """Identities of supervisors that join hidden. The server doesn't announce them to the agent and
    forwards their packets without a name, so their grant can't be read, and they are denied. A
    hidden `greenroom.attach` that claims one of these identities counts as a holder of the grant.
    List identities only if your backend signs tokens with `hidden` for supervisors alone."""


def host_options(policy: object, run_input: object, on_audit: object = None) -> str:
    """Returns the options of a host for the native half, or raises for invalid ones."""
    _checks.optional(_checks.function, on_audit=on_audit)
    if policy is None:
        policy = Policy()
    elif isinstance(policy, Mapping):
        policy = Policy(by_identity=policy)
    elif not isinstance(policy, Policy):
        kind = type(policy).__name__
        raise InvalidArgument(f"policy is a {kind}; pass a greenroom.Policy or a dict of identities and their scopes")
    _checks.text("run_input", run_input)
    if run_input not in get_args(ConcurrentTurns):
        raise InvalidArgument(f"run_input is {run_input!r}; it must be 'queue' or 'refuse'")
    if (
        not isinstance(policy.hidden, Collection)
        or isinstance(policy.hidden, str)
        or not all(isinstance(identity, str) for identity in policy.hidden)
    ):
        raise InvalidArgument(f"hidden is {policy.hidden!r}; pass a list of identities")
    _checks.mapping("by_identity", policy.by_identity)
    return json.dumps(
        {
            "policy": {
                "default": _scopes("default", policy.default),
                "by_identity": {who: _scopes(who, scopes) for who, scopes in policy.by_identity.items()},
                "hidden": list(policy.hidden),
            },
            "run_input": run_input,
        }
    )


def _scopes(whose: str, scopes: Collection[Scope]) -> list[Scope]:
    known = isinstance(scopes, Collection) and not isinstance(scopes, str) and all(one in _ALL for one in scopes)
    if not known:
        raise InvalidArgument(f"the scopes of {whose!r} are {scopes!r}; pass a list of {', '.join(map(repr, _ALL))}")
    return list(scopes)
