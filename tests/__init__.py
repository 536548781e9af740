"""What EVENTHUB_TEST_… variables say.

EVENTHUB_TEST_REQUIRE: a server program that is missing is a failure. EVENTHUB_TEST_ROUNDS: how
often faults are injected. EVENTHUB_TEST_RESULTS: a file for the books. EVENTHUB_TEST_NATS_SERVER:
another nats-server. EVENTHUB_TEST_EXAMPLES: how many requests of each kind schemathesis makes up.
EVENTHUB_TEST_KUBERNETES: `all` tests the chart on each version of it. EVENTHUB_TEST_ORDER: the seed
of a random order of files and of the tests in each; `random` chooses one, which is printed.
"""

import os

SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("EVENTHUB_TEST_")}
