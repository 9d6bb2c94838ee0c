"""How often an idle connection to Milvus says that it is still there."""

#: pymilvus pings every 10 s even when idle, which servers answer with GOAWAY "too_many_pings": ping rarely, in calls.
GRPC_OPTIONS = {"grpc.keepalive_time_ms": 310_000, "grpc.keepalive_permit_without_calls": 0}
