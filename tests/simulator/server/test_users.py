"""Who may log in."""

import pytest

from risk_manager.simulator.server.replies import Login
from risk_manager.simulator.server.users import User, UserBook, login_text

APP = {"device_id": "d", "app_id": "app", "verify_key": "v"}


def book() -> UserBook:
    return UserBook({"pat": "a key", "kim": "another"}, {"app": "v"}, {"Pat": "secret"})


def test_lets_a_user_in_by_key_with_the_name_in_any_case() -> None:
    found = book().by_key("PAT", "a key")
    assert isinstance(found, User)
    assert (found.name, found.number) == ("pat", 100_001)


@pytest.mark.parametrize(("name", "key"), [("pat", "another"), ("pat", "A KEY"), ("sam", "a key")])
def test_says_no_more_than_that_the_credentials_are_wrong(name: str, key: str) -> None:
    assert book().by_key(name, key) is Login.INVALID_CREDENTIALS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"app_id": "other"}, Login.APP_NOT_FOUND),
        ({"verify_key": "w"}, Login.APP_VERIFICATION_FAILED),
        ({"name": "sam"}, Login.USER_NOT_FOUND),
        ({"password": "wrong"}, Login.PASSWORD_VERIFICATION_FAILED),
        ({"name": "kim"}, Login.PASSWORD_VERIFICATION_FAILED),
        ({"device_id": ""}, Login.INVALID_DEVICE),
    ],
)
def test_checks_an_application_before_the_user(changes: dict[str, str], expected: Login) -> None:
    assert book().by_app(**{"name": "pat", "password": "secret", **APP, **changes}) is expected


def test_lets_a_user_in_through_an_application() -> None:
    found = book().by_app("PAT", "secret", **APP)
    assert isinstance(found, User)
    assert found.name == "pat"


def test_gives_a_text_for_missing_agreements_only() -> None:
    assert {refusal.value: login_text(refusal) for refusal in Login if login_text(refusal)} == {
        7: "Please log into the ProjectX platform and complete the required agreements"
    }
