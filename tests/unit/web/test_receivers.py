"""The receiver's kit of the documentation, run by the languages it is written in, against what the hub signs."""

import base64
import json
import os
import subprocess
from datetime import UTC, datetime

import pytest
from doc_blocks import DOCS, REPOSITORY, blocks
from required import program, unavailable

from hub.clock import SystemClock, to_us
from hub.dispatch.keyring import Keyring, SigningKey, generate, text_of
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.request_maker import request_maker
from hub.dispatch.workshop import Workshop

PAGE = DOCS / "receiving-webhooks.md"
MODULES = REPOSITORY / "tests" / "receivers" / "node_modules"
BODY = json.dumps({"type": "trade.closed", "note": "Zürich ✓ </b> \\"}, ensure_ascii=False).encode()
DELIVERY = Delivery("ep", 0, 1, "evt_1", DeliveryState.WAITING, 0, 0, 0)


def blocks_of(language):
    return [pytest.param(block, id=str(block)) for block in blocks(PAGE, language)]


async def cases():
    """Return requests and whether a receiver has to take them: made by the hub, and then changed."""
    old, new = generate("v1"), generate("v1")
    now_us = to_us(datetime.now(UTC))
    hour = 3_600_000_000
    ring = Keyring((SigningKey(new), SigningKey(old, now_us + hour)))
    endpoint = Endpoint(
        "ep", "https://a.example/", ("*",), text_of(ring), "enabled", "", 0, options=EndpointOptions()
    )
    maker = request_maker(endpoint, Workshop(SystemClock()))

    async def made(at_us):
        headers, body = await maker.prepare(DELIVERY, BODY, at_us)
        return {name.lower(): value for name, value in headers.items()}, body.decode()

    now, body = await made(now_us)
    other = "v1," + base64.b64encode(bytes(32)).decode()
    good = [
        (new, now, body),
        (old, now, body),
        (new, now | {"webhook-signature": f"v2,x {other} {now['webhook-signature']}"}, body),
    ]
    bad = [
        (new, (await made(now_us - 400_000_000))[0], body),
        (new, (await made(now_us + 400_000_000))[0], body),
        (new, now, body + " "),
        (new, now | {"webhook-id": "evt_2"}, body),
        (new, now | {"webhook-signature": other}, body),
        (new, now | {"webhook-signature": ""}, body),
        (new, now | {"webhook-timestamp": "soon"}, body),
        (generate("v1"), now, body),
        *[
            (new, {n: v for n, v in now.items() if n != name}, body)
            for name in now
            if name.startswith("webhook-")
        ],
    ]
    return [
        {"secret": secret, "headers": headers, "body": body, "good": taken}
        for taken, told in ((True, good), (False, bad))
        for secret, headers, body in told
    ]


async def verdicts(tmp_path, command, **more):
    told = await cases()
    (tmp_path / "cases.json").write_text(json.dumps(told), encoding="utf-8")
    done = subprocess.run(  # noqa: ASYNC221 (nothing else runs here)
        command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False, **more
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), [case["good"] for case in told]


@pytest.mark.parametrize("block", blocks_of("javascript"))
async def test_the_example_in_node_takes_what_the_hub_signs_and_nothing_else(block, tmp_path):
    node = program("node", package="nodejs")
    if "standardwebhooks" in block.text:
        if not (MODULES / "standardwebhooks").is_dir():
            unavailable("the official library is missing: npm ci --prefix tests/receivers")
        (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "receive.mjs").write_text(block.text, encoding="utf-8")
    (tmp_path / "run.mjs").write_text(
        """
import { readFileSync } from "node:fs";
import { readWebhook } from "./receive.mjs";
const taken = JSON.parse(readFileSync("cases.json", "utf8")).map(({ secret, headers, body }) => {
  try {
    return readWebhook(secret, headers, body).type === "trade.closed";
  } catch (error) {
    return /^answer 401/.test(error.message) ? false : String(error);
  }
});
console.log(JSON.stringify(taken));
""",
        encoding="utf-8",
    )

    found, expected = await verdicts(tmp_path, [node, "run.mjs"])

    assert found == expected


@pytest.mark.parametrize("block", blocks_of("go"))
async def test_the_example_in_go_takes_what_the_hub_signs_and_nothing_else(block, tmp_path):
    go = program("go", "/usr/local/go/bin/go", package="golang-go")
    (tmp_path / "go.mod").write_text("module receive\n\ngo 1.19\n", encoding="utf-8")
    (tmp_path / "receive.go").write_text(block.text, encoding="utf-8")
    (tmp_path / "run.go").write_text(
        """package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	text, _ := os.ReadFile("cases.json")
	var cases []struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		panic(err)
	}
	taken := []bool{}
	for _, told := range cases {
		header := func(name string) string { return told.Headers[name] }
		taken = append(taken, VerifyWebhook(told.Secret, header, []byte(told.Body)) == nil)
	}
	out, _ := json.Marshal(taken)
	fmt.Println(string(out))
}
""",
        encoding="utf-8",
    )
    own = {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}

    # Built first: on a busy machine that takes longer than a request stays young.
    subprocess.run([go, "build", "-o", "run", "."], cwd=tmp_path, env={**os.environ, **own}, check=True)  # noqa: ASYNC221

    found, expected = await verdicts(tmp_path, [str(tmp_path / "run")])

    assert found == expected


@pytest.mark.parametrize("block", blocks_of("php"))
async def test_the_example_in_php_takes_what_the_hub_signs_and_nothing_else(block, tmp_path):
    php = program("php", package="php-cli")
    (tmp_path / "receive.php").write_text(block.text, encoding="utf-8")
    (tmp_path / "run.php").write_text(
        """<?php
require 'receive.php';
$taken = [];
foreach (json_decode(file_get_contents('cases.json'), true) as $told) {
    try {
        $taken[] = read_webhook($told['secret'], $told['headers'], $told['body'])['type'] === 'trade.closed';
    } catch (RuntimeException $error) {
        $taken[] = false;
    }
}
echo json_encode($taken);
""",
        encoding="utf-8",
    )

    found, expected = await verdicts(tmp_path, [php, "-d", "error_reporting=E_ALL", "run.php"])

    assert found == expected


def test_there_is_an_example_in_every_language():
    assert {language: len(blocks(PAGE, language)) for language in ("python", "javascript", "go", "php")} == {
        "python": 3,
        "javascript": 2,
        "go": 1,
        "php": 1,
    }
