//! Configurations that are refused, and the words.

/// Config text, variables, and the line that refuses them.
pub(super) type Refused = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// All of them.
pub(super) const REFUSED: &[Refused] = &[
    ("[log]\nsample = 0", &[], "log.sample = 0: must be 1 to 1000000"),
    (
        "[log]\ndecisions = \"some\"",
        &[],
        "log.decisions = \"some\": must be \"off\", \"refusals\" or \"all\"",
    ),
    (
        "[trace]\notlp_url = \"http://127.0.0.1:4318/v1/traces\"",
        &[],
        "trace.otlp_url = \"http://127.0.0.1:4318/v1/traces\": this build has no OpenTelemetry export; build it with --features otlp",
    ),
    // Numbers: out of range, of another type, too large for their field.
    ("[limits]\nperson_burst = 0", &[], "limits.person_burst = 0: must be 1 to 10000"),
    ("[limits]\nperson_burst = 10001", &[], "limits.person_burst = 10001: must be 1 to 10000"),
    ("[limits]\nperson_burst = -1", &[], "limits.person_burst = -1: must be 1 to 10000"),
    ("[limits]\nperson_burst = 5000000000", &[], "limits.person_burst = 5000000000: must be 1 to 10000"),
    ("[limits]\nperson_burst = 1.5", &[], "limits.person_burst = 1.5: must be 1 to 10000"),
    ("[limits]\nperson_burst = \"5\"", &[], "limits.person_burst = \"5\": must be 1 to 10000"),
    ("[limits]\naddress_per_second = 0", &[], "limits.address_per_second = 0: must be 1 to 1000000"),
    ("[limits]\nkeys_max = 10", &[], "limits.keys_max = 10: must be 1000 to 100000000"),
    ("[server]\nthreads = 257", &[], "server.threads = 257: must be 0 to 256"),
    ("[server]\nmax_connections = 0", &[], "server.max_connections = 0: must be 1 to 1000000"),
    (
        "[server]\nmax_connections_per_address = -1",
        &[],
        "server.max_connections_per_address = -1: must be 0 to 1000000",
    ),
    ("[server]\nheader_timeout_ms = 0", &[], "server.header_timeout_ms = 0: must be 100 to 60000"),
    ("[server]\nidle_timeout_ms = 1", &[], "server.idle_timeout_ms = 1: must be 1000 to 3600000"),
    ("[server]\nbody_timeout_ms = 99", &[], "server.body_timeout_ms = 99: must be 100 to 60000"),
    ("[server]\nshutdown_deadline_ms = 0", &[], "server.shutdown_deadline_ms = 0: must be 100 to 600000"),
    ("[redis]\nresponse_timeout_ms = 0", &[], "redis.response_timeout_ms = 0: must be 50 to 60000"),
    ("[claim]\ninflight_max = 0", &[], "claim.inflight_max = 0: must be 1 to 16"),
    ("[claim]\nbatch_max = 1001", &[], "claim.batch_max = 1001: must be 1 to 1000"),
    ("[claim]\ninflight_max = 17", &[], "claim.inflight_max = 17: must be 1 to 16"),
    ("[claim]\nqueue_max = 0", &[], "claim.queue_max = 0: must be 1 to 1000000"),
    ("[claim]\nqueue_max = 999", &[], "claim.queue_max = 999: must not be below claim.batch_max = 1000"),
    ("[claim]\nqueue_wait_ms = 0", &[], "claim.queue_wait_ms = 0: must be 10 to 30000"),
    ("[drain]\ncommit_interval_ms = 0", &[], "drain.commit_interval_ms = 0: must be 1 to 1000"),
    ("[drain]\ngroup_max = 999", &[], "drain.group_max = 999: must be 1000 to 20000"),
    ("[journal]\nentries_max = 9", &[], "journal.entries_max = 9: must be 10 to 1000000000"),
    ("[journal]\nbytes_max = 1", &[], "journal.bytes_max = 1: must be 65536 to 1099511627776"),
    (
        "",
        &[("CLAIMRUSH_JOURNAL__MEMORY_MAX_PERCENT", "96")],
        "journal.memory_max_percent = 96: must be 10 to 95",
    ),
    ("[ticket]\nleeway_s = 61", &[], "ticket.leeway_s = 61: must be 0 to 60"),
    ("[voucher]\nqr_valid_s = 29", &[], "voucher.qr_valid_s = 29: must be 30 to 60"),
    ("[holds]\ncallback_tolerance_s = 9", &[], "holds.callback_tolerance_s = 9: must be 10 to 3600"),
    // Words.
    ("[claim]\nack = \"disk\"", &[], "claim.ack = \"disk\": must be \"memory\", \"fsync\" or \"replica\""),
    // Replicas: some must be there, and waiting for them must not count as a lost reply.
    (
        "[claim]\nack = \"replica\"",
        &[],
        "claim.ack = \"replica\": the Redis that the service starts for itself has no replicas: set redis.url to one that has, or \"fsync\"",
    ),
    ("[redis]\nreplicas = 0", &[], "redis.replicas = 0: must be 1 to 16"),
    ("[redis]\nreplica_wait_ms = 0", &[], "redis.replica_wait_ms = 0: must be 10 to 30000"),
    (
        "[claim]\nack = \"replica\"\n[redis]\nurl = \"redis://cache\"\nreplica_wait_ms = 1000",
        &[],
        "redis.replica_wait_ms = 1000: times claim.inflight_max = 2 must be below redis.response_timeout_ms = 2000",
    ),
    (
        "[claim]\nack = \"replica\"\ninflight_max = 4\n[redis]\nurl = \"redis://cache\"",
        &[],
        "redis.replica_wait_ms = 500: times claim.inflight_max = 4 must be below redis.response_timeout_ms = 2000",
    ),
    ("[limits]\nasn_per_second = 0", &[], "limits.asn_per_second = 0: must be 1 to 1000000"),
    ("[limits]\nasn_burst = 1000001", &[], "limits.asn_burst = 1000001: must be 1 to 1000000"),
    (
        "[limits]\nasn_exempt = [\"AS4134\", \"Telecom\"]",
        &[],
        "limits.asn_exempt = [\"AS4134\", \"Telecom\"]: must be the number of an autonomous system, as in \"AS4134\"",
    ),
    (
        "[limits]\nasn_exempt = \"AS4134\"",
        &[],
        "limits.asn_exempt = \"AS4134\": must be a list of autonomous systems, as in [\"AS4134\", \"AS4837\"]",
    ),
    ("[guard]\nregion_table = 1", &[], "guard.region_table = 1: must be a path in quotes"),
    ("[desk]\nasn_per_minute = 0", &[], "desk.asn_per_minute = 0: must be 1 to 600000"),
    (
        "[backoffice]\napproval = \"alone\"",
        &[],
        "backoffice.approval = \"alone\": must be \"one-step\" or \"two-person\"",
    ),
    (
        "[audit]\nhead_url = \"https://watch.example/heads\"",
        &[],
        "audit.head_url = \"https://watch.example/heads\": needs audit.head_secret_file",
    ),
    (
        "[backoffice]\ncategories = [\"\"]",
        &[],
        "backoffice.categories: must be at most 1000 words of 1 to 200 bytes",
    ),
    ("[limits]\nexempt_loopback = 1", &[], "limits.exempt_loopback = 1: must be true or false"),
    (
        "[log]\nlevel = \"loud\"",
        &[],
        "log.level = \"loud\": must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    ),
    ("[log]\nformat = \"xml\"", &[], "log.format = \"xml\": must be \"text\" or \"json\""),
    // Places.
    (
        "[server]\nlisten = \"8080\"",
        &[],
        "server.listen = \"8080\": must be an address and a port, as in \"127.0.0.1:8080\"",
    ),
    (
        "[server]\nadmin_listen = \"127.0.0.1:8080\"",
        &[],
        "server.admin_listen = \"127.0.0.1:8080\": must not share the port of server.listen = \"127.0.0.1:8080\"",
    ),
    (
        "[server]\nlisten = \"0.0.0.0:9090\"",
        &[],
        "server.admin_listen = \"127.0.0.1:9090\": must not share the port of server.listen = \"0.0.0.0:9090\"",
    ),
    (
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        &[],
        "server.trusted_proxies = [\"10.0.0.0/33\"]: must be a list of networks, as in [\"10.0.0.0/8\", \"fd00::/8\"]",
    ),
    (
        "[server]\nallowed_origins = [\"https://claim.example/\"]",
        &[],
        "server.allowed_origins = \"https://claim.example/\": must be https:// or http://, a name, perhaps a port, and nothing after them",
    ),
    (
        "[server]\nallowed_origins = [\"https://a.example\", \"https://claim.example:443\"]",
        &[],
        "server.allowed_origins = \"https://claim.example:443\": must be without the port that its scheme has anyway, as browsers say it",
    ),
    (
        "[server]\ntrusted_proxies = [\"fd00::/8\", \"::ffff:10.0.0.0/104\"]",
        &[],
        "server.trusted_proxies = \"::ffff:10.0.0.0/104\": must be written as IPv4: who comes mapped into IPv6 counts as what is mapped",
    ),
    (
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"0.0.0.0/0\"]",
        &[],
        "server.trusted_proxies = \"0.0.0.0/0\": would let anybody pass for any address: list only networks that nobody but proxies comes from",
    ),
    (
        "",
        &[("CLAIMRUSH_SERVER__TRUSTED_PROXIES", "::/0")],
        "server.trusted_proxies = \"::/0\": would let anybody pass for any address: list only networks that nobody but proxies comes from",
    ),
    (
        "[server]\ntrusted_proxies = [\"128.0.0.0/1\", \"fd00::/8\", \"0.0.0.0/1\"]",
        &[],
        "server.trusted_proxies = \"0.0.0.0/0\": would let anybody pass for any address: list only networks that nobody but proxies comes from",
    ),
    (
        "[page]\nlogin_url = \"javascript:alert(1)\"",
        &[],
        "page.login_url = \"javascript:alert(1)\": must be https://, or http:// on this machine",
    ),
    (
        "[server]\nlisten = \"0.0.0.0:8080\"\n[demo]\nenabled = true",
        &[],
        "demo.enabled = true: lets anybody be anybody: server.listen = \"0.0.0.0:8080\" must be a loopback address for it",
    ),
    ("[data]\ndir = \"\"", &[], "data.dir = \"\": must not be empty"),
    (
        "[redis]\nurl = \"http://:s3cret@cache\"",
        &[],
        "redis.url = \"http://:***@cache\": must be redis://[user:password@]host:port or redis+unix:///path, or empty for a managed Redis",
    ),
    (
        "[redis]\nurl = \"rediss://cache\"",
        &[],
        "redis.url = \"rediss://cache\": TLS to Redis is not supported by this build: must be redis://",
    ),
    ("[redis]\nurl_file = \"nowhere\"", &[], "redis.url_file = \"nowhere\": no such file"),
    (
        "[redis]\nurl = \"redis://cache\"\nurl_file = \"c.toml\"",
        &[],
        "redis.url_file = \"c.toml\": must not be set together with redis.url",
    ),
    (
        "[ledger]\nurl = \"postgres://app:s3cret@db/claims?sslmode=maybe\"",
        &[],
        "ledger.url = \"postgres://app:***@db/claims?sslmode=maybe\": must be postgres://user[:password]@host[:port]/database: invalid value for option `sslmode`",
    ),
    (
        "[ledger]\nurl = \"ledger.db\"",
        &[],
        "ledger.url = \"ledger.db\": must be sqlite:PATH or postgres://…, or empty for ledger.db in the data folder",
    ),
    (
        "[ledger]\nurl = \"sqlite::memory:\"",
        &[],
        "ledger.url = \"sqlite::memory:\": must name a file: a ledger in memory would lose every claim with the service",
    ),
    (
        "",
        &[("CLAIMRUSH_LEDGER__URL", "sqlite://:memory:")],
        "ledger.url = \"sqlite://:memory:\": must name a file: a ledger in memory would lose every claim with the service",
    ),
    // Keys that are not there, in the file and in the environment, and files that are not TOML.
    (
        "[drain]\nintervall_ms = 5",
        &[],
        "drain.intervall_ms: no such key; [drain] has enabled, commit_interval_ms, group_max",
    ),
    (
        "[sever]\nlisten = \"127.0.0.1:1\"",
        &[],
        "sever: no such key; the config has server, data, redis, ledger, claim, guard, limits, drain, journal, ticket, desk, voucher, holds, page, demo, backoffice, audit, log, trace",
    ),
    ("drain = 5", &[], "drain = 5: must be a section, as in [drain]"),
    ("[drain]\nenabled = true\nenabled = true", &[], "c.toml: line 3: duplicate key"),
    (
        "",
        &[("CLAIMRUSH_LIMITS__PERSON_BRUST", "5")],
        "CLAIMRUSH_LIMITS__PERSON_BRUST: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    (
        "",
        &[("CLAIMRUSH_LISTEN", "127.0.0.1:1")],
        "CLAIMRUSH_LISTEN: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    (
        "",
        &[("CLAIMRUSH_SERVER_LISTEN", "127.0.0.1:1")],
        "CLAIMRUSH_SERVER_LISTEN: no such key; server.listen is set by CLAIMRUSH_SERVER__LISTEN",
    ),
    (
        "",
        &[("CLAIMRUSH_TICKET__KEY__FILE", "k")],
        "CLAIMRUSH_TICKET__KEY__FILE: no such key; ticket.key_file is set by CLAIMRUSH_TICKET__KEY_FILE",
    ),
    (
        "",
        &[("CLAIMRUSH_PORT", "8080")],
        "CLAIMRUSH_PORT: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    (
        "",
        &[("CLAIMRUSH_SERVER__PORT_8080", "1")],
        "CLAIMRUSH_SERVER__PORT_8080: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    ("", &[("CLAIMRUSH_LIMITS__PERSON_BURST", "many")], "limits.person_burst = \"many\": must be 1 to 10000"),
    ("", &[("CLAIMRUSH_DRAIN__ENABLED", "no")], "drain.enabled = \"no\": must be true or false"),
];
