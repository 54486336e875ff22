"""Who may do what with an agent's session in a room: what an agent's author may say on top of LiveKit's grant."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from greenroom import _checks
from greenroom.errors import InvalidArgument

__all__ = ["Audit", "Overlap", "Policy", "Scope"]

Scope: TypeAlias = Literal["observe", "drive", "io"]
"""What a request needs on top of the grant: `observe` to see events, history, state and usage; `drive` to speak as the
user and to end simulations; `io` to turn inputs and outputs on and off."""

Overlap: TypeAlias = Literal["queue", "refuse"]
"""What becomes of a text turn that comes while another runs: it waits, or it is answered with an error."""

Audit: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Takes the lines of the audit log, one for each decision: `sid` and `identity` of the participant, what it `asked` for
and the `decision`."""

_ALL: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the holders of the grant may do. Nobody without the grant may do anything, whatever is said here.

    A plain mapping of identities to scopes is short for `Policy(by_identity=...)`.
    """

    default: Collection[Scope] = _ALL
    """The scopes of everybody who is not named. All by default."""
    by_identity: Mapping[str, Collection[Scope]] = field(default_factory=dict)
    """The scopes of participants by their identity; an empty collection is nothing."""
    hidden: Collection[str] = ()
    """Identities of supervisors that join hidden. The server does not announce them to the agent and sends on what they
    send without a name, so their grant cannot be read, and they are denied. Whoever says by `greenroom.attach` that it
    is one of these, hidden, counts as a holder of the grant. So name some only if your backend signs tokens that say
    `hidden` for supervisors alone."""


def host_options(policy: object, run_input: object, on_audit: object = None) -> str:
    """The options of a host, as the native half takes them; anything else than they can be is told."""
    _checks.optional(_checks.function, on_audit=on_audit)
    if policy is None:
        policy = Policy()
    elif isinstance(policy, Mapping):
        policy = Policy(by_identity=policy)
    elif not isinstance(policy, Policy):
        kind = type(policy).__name__
        raise InvalidArgument(f"policy is a {kind}; pass a greenroom.Policy or a dict of identities and their scopes")
    _checks.text("run_input", run_input)
    if run_input not in get_args(Overlap):
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
