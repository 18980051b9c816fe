from __future__ import annotations

from pathlib import Path

from ksl.views.frames import frames_json

FOLDER = Path("/home/ada/shop")
TEXT = '''  File "/home/ada/shop/workflows/order.py", line 14, in fulfil
    await ship.run(order=input.id)
          ^^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/ada/shop/actions/core.py", line 24, in ship
    return client.post(url)
  File "/home/ada/shop/.venv/lib/python3.11/site-packages/httpx/client.py", line 9, in post
    raise ConnectError(message)
  File "<string>", line 1, in <lambda>
httpx.ConnectError: refused
  File "/not/a/frame"'''


def test_the_frame_that_raised_comes_first_and_own_lines_are_known() -> None:
    frames = frames_json(TEXT, FOLDER)
    assert [(frame["file"], frame["line"], frame["own"]) for frame in frames] == [
        ("<string>", 1, False),
        ("/home/ada/shop/.venv/lib/python3.11/site-packages/httpx/client.py", 9, False),
        ("actions/core.py", 24, True),
        ("workflows/order.py", 14, True),
    ]
    assert [frame["code"] for frame in frames][2:] == [
        "return client.post(url)",
        "await ship.run(order=input.id)",
    ]


def test_what_is_no_traceback_has_no_frames() -> None:
    assert frames_json("", FOLDER) == []
    assert frames_json("ValueError: File\n" * 3, FOLDER) == []
