"""Who may log in: names in any case, API keys, and why a login is refused."""

from collections.abc import Mapping

import msgspec

from risk_manager.simulator import messages
from risk_manager.simulator.server.replies import Login

FIRST_USER_NUMBER = 100_001


class User(msgspec.Struct):
    """One user; `refusal` is what every login is answered, None lets it in."""

    name: str
    key: str
    number: int
    refusal: Login | None = None


class UserBook:
    """All users.

    Args:
        keys: API key by user name.
        apps: verify key by application id.
        passwords: by user name, for logins through an application.
    """

    def __init__(self, keys: Mapping[str, str], apps: Mapping[str, str], passwords: Mapping[str, str]) -> None:
        self._users = {
            name.lower(): User(name, key, number) for number, (name, key) in enumerate(keys.items(), FIRST_USER_NUMBER)
        }
        self._apps = apps
        self._passwords = {name.lower(): password for name, password in passwords.items()}

    def user(self, name: str) -> User:
        """The user of that name. Raises KeyError if there is none."""
        return self._users[name.lower()]

    def by_key(self, name: str, key: str) -> User | Login:
        """The user a name and an API key let in, or why not."""
        user = self._users.get(name.lower())
        if user is None or user.key != key:
            return Login.INVALID_CREDENTIALS
        return user if user.refusal is None else user.refusal

    def by_app(self, name: str, password: str, device_id: str, app_id: str, verify_key: str) -> User | Login:
        """The user a firm's application lets in, or why not."""
        if app_id not in self._apps:
            return Login.APP_NOT_FOUND
        if self._apps[app_id] != verify_key:
            return Login.APP_VERIFICATION_FAILED
        user = self._users.get(name.lower())
        if user is None:
            return Login.USER_NOT_FOUND
        if self._passwords.get(name.lower()) != password:
            return Login.PASSWORD_VERIFICATION_FAILED
        if not device_id:
            return Login.INVALID_DEVICE
        return user if user.refusal is None else user.refusal


def login_text(refusal: Login) -> str | None:
    """The text of a refused login; one alone has any."""
    return messages.AGREEMENTS if refusal is Login.AGREEMENTS_NOT_SIGNED else None
