"""Redis (7 or newer) and Valkey: streams hold the logs, pub/sub announces, a script does both.

redis://user:password@host:6379/0              one server; rediss:// anywhere for TLS
redis+sentinel://host:26379,host/mymaster/0    the master that the sentinels name
redis+cluster://host:6379,host                 a cluster, of which some nodes are named;
                                               announcements are sharded

Options, after `?`: ssl_ca_certs, ssl_certfile, ssl_keyfile (files), ssl_cert_reqs (required, none),
ssl_check_hostname (true, false), sentinel_username, sentinel_password. The user needs the keys and
channels `eventhub:*` and the commands of the scripts, including INFO.

`broker` is the contract. `url` and `topology` find the servers, `shards` tells which of them has a
channel. `link` is one connection, `shard` one server's two connections, `subscriptions` what it
announces. `publisher` groups publishes. `codec` holds the keys and arguments of the scripts.
"""

from eventhub.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
