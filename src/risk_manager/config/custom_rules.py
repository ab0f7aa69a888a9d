"""A user's own rules: from files named in the configuration, and from installed packages.

`custom_rules: [rules/my_rule.py]` in `risk_config.yaml` names files, relative to it. A package offers a rule through an
entry point of the group `risk_manager.rules`, called as its rule; it is imported only where a section asks for it.
Either way the rule is a class as `rules._base.Rule` describes it, and its section is read as any other.

Such code runs inside the guard. A file must belong to who owns the configuration (or to the system) and must not be
writable by everybody: who may change a rule's code can switch the rule off.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from risk_manager.config.document import Document, KeyPath, read_document
from risk_manager.config.faults import ConfigInvalid, Fault
from risk_manager.config.places import placed
from risk_manager.domain.events import Event
from risk_manager.rules import RULE_ERRORS, RULES, Rule, build_rule, class_of, describe, trial_faults
from risk_manager.rules._compose.sections import MOST_NAME, is_name

RISK_FILE = "risk_config.yaml"
GROUP = "risk_manager.rules"

_EVENTS = frozenset(Event.__args__)
_METHODS = ("initial_state", "step", "deadline_ns", "gauges")
_EVERYBODY_WRITES = 0o002
_MODULE = "risk_manager_custom_"


def rules_of(directory: Path) -> dict[str, type[Rule]]:
    """All rules a configuration directory knows, its own included.

    Raises:
        ConfigInvalid: one of its own cannot be used.
    """
    document = read_document(directory / RISK_FILE)
    faults = list(document.faults)
    known = known_rules(directory, document, faults)
    if faults:
        raise ConfigInvalid(faults)
    return known


def custom_files(directory: Path) -> dict[Path, Path]:
    """The files of a directory's own rules, by the place of each in a copy of the configuration."""
    document = read_document(directory / RISK_FILE)
    return {_copied(index, written): placed(directory, written) for index, written in _named(document)}


def known_rules(
    directory: Path, document: Document, faults: list[Fault], copy: Path | None = None
) -> dict[str, type[Rule]]:
    """All rules there are by name: the program's, those of the files the configuration names, and asked-for packages'.

    Args:
        document: `risk_config.yaml` in the directory; what is wrong with a file is a fault where it is named.
        copy: of the configuration, where the files are taken from; None takes the files themselves.
    """
    known: dict[str, type[Rule]] = dict(RULES)
    data = document.data if isinstance(document.data, dict) else {}
    for index, written in _named(document):
        place: KeyPath = ("custom_rules", index)
        path = placed(directory, written) if copy is None else copy / _copied(index, written)
        for rule_class in _of_file(path, copy or directory, document, place, faults):
            _add(known, rule_class, document, place, faults)
    for name, place in _asked_for(data, known):
        for entry in entry_points(group=GROUP, name=name):
            _add_installed(known, name, entry, document, place, faults)
    return known


def own_code_of(rule: Rule) -> set[str]:
    """The modules of the user's own files a rule is made of; another text of a file has another name."""
    modules = {made.__module__ for made in class_of(rule).values()}
    return {name for name in modules if name.startswith(_MODULE)}


def _named(document: Document) -> Iterator[tuple[int, str]]:
    """The files a configuration names, each with its index."""
    paths = document.data.get("custom_rules") if isinstance(document.data, dict) else None
    for index, written in enumerate(paths if isinstance(paths, list) else []):
        if isinstance(written, str) and not document.is_misread(("custom_rules", index)):
            yield index, written


def _copied(index: int, written: str) -> Path:
    """The name is kept: a rule's module is called after it."""
    return Path("custom", str(index), Path(written).name)


def protocol_faults(rule_class: Any) -> tuple[str, ...]:
    """Why a class is no rule, in sentences without their subject; empty if it is one."""
    problems = list(_shape_faults(rule_class))
    if problems:
        return tuple(problems)
    try:
        describe(rule_class)
    except (AssertionError, TypeError) as error:
        return (f"has a setting that cannot be an option: {error}",)
    example = getattr(rule_class, "example", {})
    try:
        rule: Any = build_rule(rule_class, example)
    except RULE_ERRORS as error:  # it is somebody else's code
        return (f"cannot be built of its `example`: {error}",)
    return trial_faults(rule)


def _shape_faults(rule_class: Any) -> Iterator[str]:
    if not (isinstance(rule_class, type) and issubclass(rule_class, msgspec.Struct)):
        yield "is no msgspec.Struct"
        return
    if not rule_class.__struct_config__.frozen:
        yield "is not frozen; write class Name(msgspec.Struct, frozen=True)"
    name = getattr(rule_class, "name", None)
    if not is_name(name):
        yield f"needs a `name` of letters a-z, digits and _, at most {MOST_NAME}, not {name!r}"
    listens_to = getattr(rule_class, "listens_to", None)
    if not isinstance(listens_to, frozenset) or not listens_to <= _EVENTS:
        yield "needs `listens_to`, a frozenset of event types"
    if not hasattr(rule_class, "remedy"):
        yield "has no `remedy`"
    missing = [method for method in _METHODS if not callable(getattr(rule_class, method, None))]
    if missing:
        yield f"has no {', '.join(missing)}"


def _of_file(path: Path, directory: Path, document: Document, place: KeyPath, faults: list[Fault]) -> list[type[Rule]]:
    """The rule classes of one file; none if it has a fault."""
    module = _imported(path, directory, document, place, faults)
    if module is None:
        return []
    own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
    classes = [one for one in own if isinstance(one, type) and hasattr(one, "step") and hasattr(one, "listens_to")]
    if not classes:
        faults.append(document.fault(place, f"{path.name} holds no rule", "a rule has step and listens_to"))
    sound = []
    for rule_class in classes:
        problems = protocol_faults(rule_class)
        faults.extend(document.fault(place, f"the class {rule_class.__name__} {problem}") for problem in problems)
        if not problems:
            sound.append(rule_class)
    return sound


def _imported(
    path: Path, directory: Path, document: Document, place: KeyPath, faults: list[Fault]
) -> ModuleType | None:
    try:
        problem = _ownership_problem(path, directory / document.file)
        content = path.read_bytes()
    except OSError as error:
        faults.append(document.fault(place, f"{path} cannot be read: {error.strerror}"))
        return None
    if problem:
        faults.append(document.fault(place, f"{path} {problem}", "a rule's code must be as safe as the configuration"))
        return None
    # The same text is the same module however often the configuration is read; another text is another module.
    name = f"{_MODULE}{path.stem}_{hashlib.sha256(content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        faults.append(document.fault(place, f"{path} is no Python file", "name a file that ends in .py"))
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except RULE_ERRORS as error:  # it is somebody else's code
        del sys.modules[name]
        faults.append(document.fault(place, f"{path.name} cannot be imported: {type(error).__name__}: {error}"))
        return None
    return module


def _ownership_problem(path: Path, config: Path) -> str:
    """Why who must not change the configuration could change this file; empty where nothing says so."""
    found, owner = path.stat(), config.stat().st_uid
    if found.st_mode & _EVERYBODY_WRITES and sys.platform != "win32":
        return "can be changed by everybody"
    if found.st_uid not in (owner, 0):
        return "belongs to another user than the configuration"
    return ""


def _add(
    known: dict[str, type[Rule]], rule_class: type[Rule], document: Document, place: KeyPath, faults: list[Fault]
) -> None:
    if rule_class.name in known:
        faults.append(document.fault(place, f"{rule_class.name} is the name of a rule already", "call it otherwise"))
    else:
        known[rule_class.name] = rule_class


def _add_installed(
    known: dict[str, type[Rule]], name: str, entry: Any, document: Document, place: KeyPath, faults: list[Fault]
) -> None:
    try:
        rule_class = entry.load()
    except RULE_ERRORS as error:  # it is somebody else's code
        problem = f"the installed rule {entry.value} cannot be imported: {type(error).__name__}: {error}"
        faults.append(document.fault(place, problem))
        return
    problems = protocol_faults(rule_class)
    faults.extend(document.fault(place, f"the installed rule {entry.value} {problem}") for problem in problems)
    if not problems and rule_class.name != name:
        faults.append(document.fault(place, f"the installed rule {entry.value} calls itself {rule_class.name}"))
    elif not problems:
        _add(known, rule_class, document, place, faults)


def _asked_for(data: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, KeyPath]]:
    """Names of rules nobody knows yet, each with the place of the first section that has it."""
    found: dict[str, KeyPath] = {}
    sections = data.get("rules")
    for name, section in sections.items() if isinstance(sections, dict) else ():
        for rule in _rules_in(name, section):
            if rule not in known:
                found.setdefault(rule, ("rules", name))
    return list(found.items())


def _rules_in(name: str, section: Any) -> Iterator[str]:
    """The rules a section speaks of: the one it is called after, or those it names."""
    if not isinstance(section, Mapping):
        return
    members = [section.get("not"), *_listed(section.get("all_of")), *_listed(section.get("any_of"))]
    inner = [rule for member in members for rule in _rules_in("", member)]
    yield from inner
    rule = section.get("rule", "" if inner else name)
    if isinstance(rule, str) and rule:
        yield rule


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
