# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be masked and what must not, for the client and for the modules: one table.

The values are made up when the tests run, so that no scanner of secrets finds one here. Names, signs and lengths are
those of the programs that give such tokens out, as gitleaks lists them.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

from ansible_collections.etrid.gizzi.lab.validator import flare_node

HEX = "0123456789abcdef"
BIG = string.ascii_uppercase + "234567"
ANY = string.ascii_letters + string.digits
WORD = ANY + "_-"
HASH = "0x3f0a9bd13f0a9bd13f0a9bd13f0a9bd13f0a9bd13f0a9bd13f0a9bd13f0a9bd1"
PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


def made(signs: str, length: int) -> str:
    """Return so many of the signs, the same for the same arguments."""
    letters = random.Random(f"{signs}{length}").choices(signs, k=length)
    # As words have boundaries, a letter is first and last.
    return "".join(["Q" if signs not in (HEX, BIG) else signs[10], *letters[2:], signs[3]])


# Before the value, its signs, how many, and what comes behind.
TOKENS: tuple[tuple[str, str, int], ...] = (
    ("glpat-", WORD, 20),
    ("glptt-", HEX, 40),
    ("gldt-", WORD, 20),
    ("glrt-", WORD, 20),
    ("glcbt-1_", WORD, 20),
    ("gloas-", ANY, 64),
    ("glsoat-", WORD, 20),
    ("GR1348941", WORD, 20),
    ("xoxb-1234567890-1234567890123-", ANY, 24),
    ("xoxp-1234567890-1234567890-1234567890-", ANY, 28),
    ("xoxa-2-", ANY, 30),
    ("xoxe.xoxb-1-", BIG, 163),
    ("xapp-1-A0-12-", HEX, 30),
    ("https://hooks.slack.com/services/", ANY, 44),
    ("https://etrid.webhook.office.com/webhookb2/", ANY, 44),
    ("https://discord.com/api/webhooks/123456789/", WORD, 68),
    ("https://api.telegram.org/bot123456789:A", WORD, 34),
    ("ghp_", ANY, 36),
    ("gho_", ANY, 36),
    ("ghs_", ANY, 36),
    ("github_pat_", ANY + "_", 82),
    ("sk-ant-api03-", WORD, 93),
    ("sk-ant-admin01-", WORD, 93),
    ("sk-proj-", WORD, 74),
    ("sk-", ANY, 48),
    ("sk_live_", ANY, 24),
    ("rk_test_", ANY, 24),
    ("AKIA", BIG, 16),
    ("ASIA", BIG, 16),
    ("AIza", WORD, 35),
    ("ya29.", WORD, 60),
    ("hvs.", WORD, 95),
    ("hvb.", WORD, 140),
    ("hf_", string.ascii_letters, 34),
    ("npm_", ANY, 36),
    ("pypi-AgEIcHlwaS5vcmc", WORD, 60),
    ("dop_v1_", HEX, 64),
    ("doo_v1_", HEX, 64),
    ("dapi", HEX, 32),
    ("dp.pt.", ANY, 43),
    ("dt0c01.ABCDEFGHIJKLMNOPQRSTUVWX.", ANY, 64),
    ("lin_api_", ANY, 40),
    ("ntn_12345678901", ANY, 35),
    ("pnu_", ANY, 36),
    ("pul-", HEX, 40),
    ("pplx-", ANY, 48),
    ("PMAK-", HEX, 59),
    ("pscale_tkn_", WORD, 43),
    ("pscale_pw_", WORD, 43),
    ("rdme_", ANY, 70),
    ("rubygems_", HEX, 48),
    ("SG.", WORD, 66),
    ("xkeysib-", HEX, 64),
    ("sntryu_", HEX, 64),
    ("sntrys_eyJpYXQiO", ANY, 80),
    ("shpat_", HEX, 32),
    ("shippo_live_", HEX, 40),
    ("sm_aat_", ANY, 16),
    ("sq0atp-", WORD, 22),
    ("sha256~", WORD, 43),
    ("tk-us-", WORD, 48),
    ("glsa_", ANY, 41),
    ("glc_eyJ", ANY, 60),
    ("ops_eyJ", ANY, 250),
    ("tskey-auth-", WORD, 30),
    ("gsk_", ANY, 52),
    ("r8_", ANY, 37),
    ("AKCp", ANY, 69),
    ("ATATT3", WORD, 186),
    ("API-", BIG, 26),
    ("NRAK-", BIG, 27),
    ("LTAI", ANY, 20),
    ("EAAC", ANY, 120),
    ("fo1_", WORD, 43),
    ("fm2_", ANY, 100),
    ("duffel_live_", WORD, 43),
    ("sgp_", HEX, 40),
    ("v1.0-0123456789abcdef01234567-", HEX, 146),
    ("A3-ABCDEF-ABCDEF-ABCDE-ABCDE-ABCDE-", BIG, 5),
    ("AGE-SECRET-KEY-1", BIG, 58),
    ("abc8Q~", WORD, 34),
    ("eyJhbGciOiJIUzI1NiJ9.eyJ", ANY, 40),
)
# Texts with a place for the value.
PLACES: tuple[str, ...] = (
    "password={}",
    "password = {} next",
    "db_password: {}",
    "dbPassword={}",
    "DB_PWD={}",
    "pwd={}",
    "PWD:={}",
    "passwd => '{}'",
    '"password": "{}"',
    '{{"a":1,"password":"{}","b":2}}',
    r'{{"message":"{{\"password\":\"{}\"}}"}}',
    r'{{"m":"{{\"m\":\"{{\\\"password\\\":\\\"{}\\\"}}\"}}"}}',
    'the line ends within: "password": "{}',
    "password=`{}`",
    "pass: {}",
    "secret={}",
    "client_secret={}&grant=x",
    "the secret is {}",
    "token = '{}'",
    "ANTHROPIC_AUTH_TOKEN={} accepted",
    "accessToken: {}",
    "GET /metrics?token={}&x=1",
    "API_KEY={}",
    "apiKey: {}",
    "x-api-key: {}",
    "aws_secret_access_key = {}",
    "AccountKey={}",
    "private_key={}",
    "node-key: {}",
    "credentials={}",
    "session_id={}",
    "seed: {}",
    "suri={}",
    "mnemonic={}",
    "Authorization: Bearer {}",
    "Authorization: {}",
    '{{"Authorization": "Basic {}"}}',
    "curl -H 'authorization: token {}' http://x/",
    "Proxy-Authorization: Negotiate {}",
    "Authorization: AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature={}",
    'Authorization: Digest username="x", realm="y", response="{}"',
    "Cookie: a=1; session={}; theme=dark",
    "Set-Cookie: id={}; HttpOnly",
    r"{{\"Cookie\":\"id={}\"}}",
    "sent bearer {}",
    "wss://user:{}@telemetry.example/submit",
    "https://{}@git.example/x",
    "redis://:{}@cache:6379",
    "dial http://u:{}@proxy:3128",
    "flare-node --password {} --chain x",
    "flare-node --suri={}",
    "flare-node --node-key {} --chain x",
    "--telemetry-api-key={}",
    "curl -u admin:{} http://x",
    "curl --user 'admin:{}' http://x",
    "Secret Key URI `{}` is account:",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}\ncut off here",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n{}\n-----END PGP PRIVATE KEY BLOCK-----",
    r"-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
)
# A whole text, and what of it must go.
WHOLE: tuple[tuple[str, str], ...] = (
    ('"password": "hunter 2"', "hunter 2"),
    (r'"password": "hun\"ter2"', "ter2"),
    (r"\"password\":\"hun\\\"ter2\"", "ter2"),
    ("password=hun,ter2 next", "ter2"),
    ("password=hun&ter2", "ter2"),
    (r"password=hun\ter2", "ter2"),
    ("postgres://u:hun@ter2@db/x", "ter2"),
    (f"mnemonic: {PHRASE}", PHRASE),
    (f"Secret phrase is {PHRASE}", PHRASE),
    (f"seed phrase: '{PHRASE}'", PHRASE),
    (f"secret seed: {HASH}", HASH),
    ("Secret Key URI `//Alice//stash` is account:", "//Alice//stash"),
    ("flare-node --suri //Alice//secret", "//Alice//secret"),
)
KEPT: tuple[str, ...] = (
    f"✨ Imported #1403457 ({HASH})",
    "💤 Idle (12 peers), best: #1403456 (0x3f0a…9bd1), finalized #1403453, ⬇ 41.3kiB/s",
    'substrate_block_height{status="best",chain="flare"} 140434',
    "🏷  Local node identity is: 12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
    "👤 Role: AUTHORITY",
    "🔍 Discovered new external address for our node: "
    "/ip4/203.0.113.7/tcp/30333/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust",
    "enode://a979fb575495b8d6db44f750317d0f4622bf4c2aa3365d6af7c284339968eef2@203.0.113.7:30303",
    "QmSoLPppuBtQSGwKDZT2M73ULpjvfd3aZ6ha4oFGL1KrGM dialled /dns/a.example/tcp/443/wss",
    "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY is an authority",
    f"🔑 session keys: {HASH}",
    f"storage key: {HASH}",
    f"author: {HASH}, authorities: 21, authority set id: 7",
    "https://telemetry.example:443/submit/",
    "Reporting telemetry error",
    "context_tokens: 8192, tokens=12, seeds=3",
    "compass: north; bypass=1",
    '[GIN] 2026/11/22 - 23:16:01 | 200 | 61.0ms | 127.0.0.1 | POST "/api/generate" load_duration=12 tokens=16',
    "risk-assessment-of-everything task-0123456789abcdef0123",
)


def secrets() -> Iterator[tuple[str, str]]:
    """Yield a text and what of it must not be seen."""
    for start, signs, length in TOKENS:
        value = made(signs, length)
        # What a URL needs to be one may stay, and so may a name.
        for text in (f"using {start}{value}", f'{{"m":"line\\n{start}{value}"}}', f"x={start}{value};"):
            yield text, value
    for place in PLACES:
        yield place.format(made(ANY, 24)), made(ANY, 24)
    yield from WHOLE


def journal(lines: int) -> str:
    """Return so many lines of the lab's validator, with what others of a stock node's say between them."""
    node = flare_node.Node(3)
    log = flare_node.Journal(node)
    rng = random.Random(lines)
    log.best, now = 1000, float(flare_node.GENESIS)
    found: list[str] = []
    while len(found) < lines:
        now += 6
        log.best = node.height(now) - 1
        found += log.lines(now)
        digest = "".join(rng.choices(HEX, k=64))
        peer = "12D3KooW" + "".join(rng.choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", k=44))
        account = "5" + "".join(rng.choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", k=47))
        found += [
            f"✨ Imported #{rng.randrange(10**7)} (0x{digest})",
            f"Failed to dial /ip4/203.0.113.{rng.randrange(256)}/tcp/30333/p2p/{peer}: Timeout",
            f"discovered: {peer} /dns/node{rng.randrange(99)}.example/tcp/443/wss, block_hash: 0x{digest}",
            f"♻️  Reorg on #{rng.randrange(10**7)},0x{digest[:4]}…{digest[-4:]} author={account} hash={digest}",
        ]
    return "\n".join(found[:lines])


def hostile(length: int) -> Iterator[str]:
    """Yield lines on which a pattern that goes back takes for ever."""
    for part in (
        *("a.", "a", "a ", "token=", "token ", "token \t", "password:'", 'password="', "\\", '\\"', "--a-", "--token "),
        *("://", "://a:", "://a@", "://a:b", "eyJ", "eyJaaaaaaaa.", "-eyJ", "\\neyJ-", "-sk-", " sk-", "xoxb-", "=a,"),
        *("authorization:", "authorization: a", 'cookie="', "-----BEGIN PRIVATE KEY-----", "-----BEGIN A", " -u a:"),
        *("abc ", "seed=abc ", "token=a,", "token=,,", ",", "key=\\", "token=a\\", "\x1b[0", "\x1b]", "<data-", "1Q~"),
        *("ignore ", "AKIA", "hooks.slack.com/", "bearer ", "dp.pt.", "digest username=", "secret key uri", "api_key"),
        *("pass", "token is ", '"token":', '\\"token\\":\\"', "{", "[", "\n", "  ", "\u200b", "\ud800", "é", "💤"),
    ):
        yield (part * (length // len(part) + 1))[:length]
