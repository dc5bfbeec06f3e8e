"""What the operator stated, against what the licenses of a model want stated."""

from collections.abc import Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from types import MappingProxyType

from guard.licensing.license import License, Territory
from guard.licensing.need import Need, needs, territory_need, unmet
from guard.licensing.place import members
from guard.policy.config import Config


def stated(config: Config, today: date) -> frozenset[tuple[str, str]]:
    """Return what is stated and has not expired, as (license id, about)."""
    return frozenset((item.license, item.about) for item in config.operator.statements if today <= item.expires)


def statements(config: Config, today: date) -> Mapping[tuple[str, str], str]:
    """Return the words of what is stated and has not expired, with owner and last day."""
    return MappingProxyType(
        {
            (item.license, item.about): f"{item.says} ({item.owner}, until {item.expires})"
            for item in config.operator.statements
            if today <= item.expires
        }
    )


def territory_of(name: str, license_: License, config: Config) -> Territory | None:
    """Return the territory of ``license_`` if it concerns the configured model ``name``.

    One that is limited to some models concerns an alias too whose repository nobody stated: nothing excludes that.
    """
    territory = license_.territory
    if territory is None or not territory.models:
        return territory
    model = config.models.get(name)
    names = [name, *((model.base or ()) if model is not None else ())]
    known = any(_fits(own, license_.models) for own in names)
    return territory if not known or any(_fits(own, territory.models) for own in names) else None


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower().partition("@")[0]) for pattern in patterns)


def no_rights_at_home(name: str, licenses: Sequence[License], config: Config, today: date) -> Need | None:
    """Return the territory of a license that gives this operator no rights in the model ``name``, if nothing states
    otherwise: its domicile is excluded (Llama 3.2 and 4, multimodal models, EU).
    """
    home = config.operator.domicile
    for license_ in licenses:
        territory = territory_of(name, license_, config)
        if home is None or territory is None or territory.kind != "licensee_domicile":
            continue
        if home in members(territory.excluded) and (license_.id, "territory") not in stated(config, today):
            return territory_need(license_)
    return None


def open_needs(name: str, licenses: Sequence[License], config: Config, today: date) -> list[Need]:
    """Return what the licenses of the model ``name`` want stated and nobody states, or shows otherwise."""
    found = [need for license_ in licenses for need in needs(license_)]
    for license_ in licenses:
        territory, need = territory_of(name, license_, config), territory_need(license_)
        if territory is None or need is None:
            continue
        seen = config.operator.domicile if territory.kind == "licensee_domicile" else config.territory.country_headers
        if not seen:
            found.append(need)
    return unmet(found, stated(config, today))


def excluded_places(
    name: str, licenses: Sequence[License], config: Config, today: date
) -> Mapping[str, tuple[str, str]]:
    """Return the countries in which the model ``name`` may not be used, with the license and clause that say so.

    A statement about territory (another agreement, places told apart elsewhere) takes the gateway's check away.
    """
    found: dict[str, tuple[str, str]] = {}
    for license_ in licenses:
        territory = territory_of(name, license_, config)
        if territory is None or territory.kind != "place_of_use" or (license_.id, "territory") in stated(config, today):
            continue
        for place in sorted(members(territory.excluded)):
            found.setdefault(place, (license_.id, territory.clause))
    return MappingProxyType(found)


def people_only(licenses: Sequence[License], config: Config) -> frozenset[str]:
    """Return the ids of the licenses whose open question "active user" is read as people."""
    return frozenset(
        license_.id
        for license_ in licenses
        for question in license_.questions
        if question.id == "active_user" and config.usage.readings.get(license_.id, question.default) == "people"
    )
