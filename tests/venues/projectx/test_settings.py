import pytest

from risk_manager.venues.projectx.settings import ProjectXSettings, url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://api.topstepx.com",
        "https://rtc.thefuturesdesk.projectx.com/hubs/user",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:5000/hubs/user",
    ],
)
def test_accepts(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.topstepx.com",
        "https://api.topstepx.com.evil.example",
        "https://eviltopstepx.com",
        "https://api.topstepx.com@evil.example",
        "https://user:secret@api.topstepx.com",
        "https://rtc.topstepx.com/hubs/user?access_token=x",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "api.topstepx.com",
        "https://",
        "https://api.topstepx.com:port",
        "",
    ],
)
def test_refuses(url: str) -> None:
    assert url_fault(url) is not None


def test_names_every_fault_at_once() -> None:
    with pytest.raises(ValueError, match=r"api_url: .*market_hub_url: .*api_key: must not be empty"):
        ProjectXSettings(
            user_name="u", api_key="", day_start_ns=int, api_url="http://x.example", market_hub_url="nowhere"
        )


def test_never_shows_the_key() -> None:
    assert "sesame" not in repr(ProjectXSettings(user_name="u", api_key="sesame", day_start_ns=int))
