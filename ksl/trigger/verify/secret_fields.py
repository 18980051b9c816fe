"""Which fields of a credential hold the secret that deliveries are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

from ksl.errors import MalformedTrigger

if TYPE_CHECKING:
    from pydantic import BaseModel

# In this order: most deliveries are signed with the first.
NAMED = ("secret", "previous")


def check_fields(credential: object, *, where: str) -> None:
    """Errors: MalformedTrigger when it is no credential, or does not say which field is the secret."""
    fields = getattr(credential, "fields", None)
    if not hasattr(credential, "name") or not isinstance(fields, type) or not hasattr(fields, "model_fields"):
        raise MalformedTrigger(
            f"{where}(credential={credential!r}): that is no credential. Write "
            'Credential("signup", fields=SignupSecret), where SignupSecret is a pydantic model with the field '
            "`secret: SecretStr`, and name it here."
        )
    secret = _secret_fields(cast("type[BaseModel]", fields))
    if "secret" not in secret and len(secret) != 1:
        told = f"has {len(secret)} of them: {', '.join(secret)}" if secret else "has none"
        raise MalformedTrigger(
            f"{where}(credential=...): which field of {fields.__name__} is the secret? It is the one called "
            f"`secret`, or else the only field of type SecretStr, and {fields.__name__} {told}."
        )


def secrets_in(value: BaseModel) -> list[str]:
    """The secrets that a credential's value holds: `secret` and then `previous`, or the only SecretStr. A field
    may hold a list of them; one that is None counts as missing."""
    names = _secret_fields(type(value))
    chosen = [name for name in NAMED if name in names] if "secret" in names else names[:1]
    found: list[str] = []
    for name in chosen:
        content: Any = getattr(value, name)
        for each in cast("list[Any]", content) if isinstance(content, list | tuple) else [content]:
            if each is not None:
                found.append(each.get_secret_value())
    return found


def _secret_fields(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if _mentions_secret(field.annotation)]


def _mentions_secret(annotation: object) -> bool:
    from pydantic import SecretStr

    if annotation is SecretStr:
        return True
    return any(_mentions_secret(part) for part in get_args(annotation))
