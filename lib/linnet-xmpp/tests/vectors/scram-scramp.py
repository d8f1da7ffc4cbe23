"""Writes scram-scramp.json: exchanges between the client and the server of scramp, a Python package that knows nothing
of ours. `pip install scramp==1.5.0`, then `python3 scram-scramp.py > scram-scramp.json`."""

import base64
import hashlib
import json

import scramp
import scramp.core

# scramp has no way to export keying material and so refuses the name; how the data is used is the same for all types.
scramp.core.CbName.SUPPORTED_TYPES |= {"tls-exporter"}
scramp.core.CbName.UNSUPPORTED_TYPES = frozenset()

EXPORTER = ("tls-exporter", hashlib.sha256(b"exporter").digest())
END_POINT = ("tls-server-end-point", hashlib.sha256(b"certificate").digest())

CASES = [
    ("SCRAM-SHA-1", "user", "pencil", 4096, None),
    ("SCRAM-SHA-1-PLUS", "user", "pencil", 4096, EXPORTER),
    ("SCRAM-SHA-256", "a,b=c", "p\u00e4ss w\u00f6rd", 5000, None),
    ("SCRAM-SHA-256-PLUS", "user", "pencil", 4096, END_POINT),
    ("SCRAM-SHA-256-PLUS", "\u03c0", "I\u00adX", 4097, EXPORTER),
    ("SCRAM-SHA-512", "user", "pencil", 10000, None),
    ("SCRAM-SHA-512-PLUS", "user", "pencil", 4096, END_POINT),
    ("SCRAM-SHA-512-PLUS", "romeo", "\u2168,=\u00aa", 4096, EXPORTER),
]

vectors = []
for number, (name, username, password, iterations, binding) in enumerate(CASES):
    salt = hashlib.sha256(b"salt %d" % number).digest()[:16]
    c_nonce, s_nonce = ("%s-nonce-%d-abcdefghijkl" % (side, number) for side in ("client", "server"))
    mechanism = scramp.ScramMechanism(name)
    info = mechanism.make_auth_info(password, iteration_count=iterations, salt=salt)
    server = mechanism.make_server(lambda _: info, channel_binding=binding, s_nonce=s_nonce)
    client = scramp.ScramClient([name], username, password, channel_binding=binding, c_nonce=c_nonce)
    messages = {"client_first": client.get_client_first()}
    server.set_client_first(messages["client_first"])
    messages["server_first"] = server.get_server_first()
    client.set_server_first(messages["server_first"])
    messages["client_final"] = client.get_client_final()
    server.set_client_final(messages["client_final"])
    messages["server_final"] = server.get_server_final()
    client.set_server_final(messages["server_final"])
    vectors.append(
        {
            "mechanism": name,
            "username": username,
            "password": password,
            "iterations": iterations,
            "salt_b64": base64.b64encode(salt).decode(),
            "client_nonce": c_nonce,
            "server_nonce": s_nonce,
            "cb_type": binding and binding[0],
            "cb_data_hex": binding and binding[1].hex(),
            "stored_key_b64": base64.b64encode(info[1]).decode(),
            "server_key_b64": base64.b64encode(info[2]).decode(),
            **messages,
        }
    )

about = (
    "SCRAM exchanges between client and server of scramp 1.5.0 (https://codeberg.org/tlocke/scramp), "
    "made with scram-scramp.py beside this file."
)
print(json.dumps({"about": about, "vectors": vectors}, indent=1))
