"""Publishes an event and waits for it.

Variables: URL, CHANNEL, EVENT; KEY, where one is needed; CERTIFICATE of the server, with TLS.
"""

import json
import os
import ssl
import sys
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

SECONDS = 15  # for each answer, and each pause between two lines
URL = f"{os.environ['URL']}/v1/channels/{os.environ['CHANNEL']}"


def pinned(certificate):
    """Trusts this very certificate: it is for a public name, and here the server has another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context


CONTEXT = pinned(os.environ["CERTIFICATE"]) if "CERTIFICATE" in os.environ else None


def ask(url, body=None):
    headers = {"Authorization": f"Bearer {os.environ['KEY']}"} if "KEY" in os.environ else {}
    return urlopen(Request(url, body, headers), timeout=SECONDS, context=CONTEXT)


def test():
    with ask(f"{URL}/ndjson") as stream:
        stream.readline()  # subscribed: what is published from here on arrives
        with ask(URL, os.environ["EVENT"].encode()) as answer:
            published = json.load(answer)["id"]
        for line in stream:
            if line.strip() and json.loads(line).get("id") == published:
                return f"published and received {published}"
    raise TimeoutError(f"{published} was published, and the stream ended without it")


try:
    print(test())
except HTTPError as error:
    sys.exit(f"{error.url} answered {error.code}: {error.read(2000).decode(errors='replace')}")
except (URLError, OSError) as error:
    sys.exit(f"{URL}: {error}")
