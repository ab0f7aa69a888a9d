"""Settings every test runs under."""

from hypothesis import HealthCheck, settings

# No deadlines: how long an example takes says something about the machine, not about the code.
# The blob printed with a failure repeats exactly that example (`@reproduce_failure`).
settings.register_profile("risk-manager", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("risk-manager")
