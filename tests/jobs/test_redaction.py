"""Credentials reach nothing that is kept or shown, even when the service itself repeats them."""

import contextlib
import logging
import zipfile

import numpy as np
import pytest
from loopback import Fault
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult

from qlam_qiskit import jobs
from qlam_qiskit.jobs import JobError, files
from qlam_qiskit.jobs.records import is_remote_id
from qlam_qiskit.redaction import redact, remember_secret

MARK = "marked-token-51c0ffee51c0ffee"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {MARK}",
        f"401 for apikey={MARK}&grant_type=x",
        f'{{"access_token": "{MARK}", "expires_in": 3600}}',
        f"apikey {MARK}",
    ],
)
def test_what_looks_like_a_credential_is_replaced(text):
    assert MARK not in redact(text) and "[redacted]" in redact(text)


def test_web_tokens_known_secrets_and_the_environment_are_replaced(monkeypatch):
    remember_secret("quite-secret-value")
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "from-the-environment")
    line = redact("a eyJhbGciOi.eyJpYXQi.c2ln b quite-secret-value\n c from-the-environment d")
    assert line == "a [redacted] b [redacted] c [redacted] d"


def test_ordinary_messages_stay_and_are_one_short_line():
    assert redact("429 Client Error:\n  too many requests") == "429 Client Error: too many requests"
    assert len(redact("x" * 5000)) == 400


def test_what_a_result_says_is_kept_without_credentials(tmp_path):
    remember_secret(MARK)
    files.job_folder(tmp_path, "s", 0).mkdir(parents=True)
    bits = BitArray(np.zeros((5, 1), np.uint8), 1)
    said = {"note": [f"Bearer {MARK}", {MARK: 3}]}
    result = PrimitiveResult([SamplerPubResult(DataBin(meas=bits, shape=()), said)], {**said, "shots": 5})
    files.write_result(tmp_path, "s", 0, result, {"tag": "t"})
    assert files.keep_aside(tmp_path, "s", 0, result, f"not for {MARK}") is not None
    assert files.keep_aside(tmp_path, "s", 0, f"<p>{MARK}</p>", "no result") is not None
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 3
    for path in kept:
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            assert all(MARK.encode() not in archive.read(name) for name in archive.namelist())
        assert MARK.encode() not in path.read_bytes()
    again, _ = files.read_result(tmp_path, "s", 0)
    assert again.metadata["shots"] == 5 and (again[0].data.meas == bits)
    assert again[0].metadata == {"note": ["Bearer [redacted]", {"[redacted]": 3}]}


def test_a_credential_is_no_id():
    remember_secret(MARK)
    assert is_remote_id("d4a1b2c3d4") and not is_remote_id(MARK) and not is_remote_id(f"job-{MARK}")


def test_a_marked_token_is_found_nowhere(
    server, open_service, tiny_pub, ledger, home, monkeypatch, patience, caplog, capfd
):
    server.state.api_key, server.state.polls = MARK, 4
    monkeypatch.setenv("QISKIT_IBM_TOKEN", MARK)
    caplog.set_level(logging.DEBUG, logger="qlam_qiskit")
    said = []
    options = {**patience, "report": said.append}
    backend = open_service()
    tokens = server.state.tokens

    def echo(route, **settings):
        message = f"apikey {MARK} and Bearer {' and '.join(tokens)} are not welcome"
        server.state.faults.add(Fault(route, "status", payload={"errors": [{"message": message}]}, **settings))

    echo("POST /jobs", status=400)
    with pytest.raises(JobError) as refused:
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **options)
    said.append(str(refused.value))
    [record] = ledger.submissions()
    echo("GET /instances/usage", status=500, times=7)
    echo("POST /jobs", status=401)
    jobs.resume(ledger, record.id, **options)
    echo("GET /jobs/{id}", status=403)
    echo("POST /identity/token", status=503, times=3)
    while jobs.show(ledger)[0].open:
        for state in jobs.fetch(ledger, **options):
            said.extend(state.problems)
    assert jobs.show(ledger)[0].complete
    said.append(str(jobs.show(ledger)[0].to_json()) + str(ledger.events(record.id)))

    ledger.close()
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    output = capfd.readouterr()
    shown = "\n".join(said) + caplog.text + output.out + output.err
    assert shown.count("[redacted]") >= 6 and b"[redacted]" in kept and len(kept) > 10_000
    for secret in [MARK, *server.state.tokens]:
        assert secret.encode() not in kept
        assert secret not in shown
