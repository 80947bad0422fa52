"""Writing files: what is replaced, and what is written into."""

import errno
import os
import socket
import threading

import pytest

from tests.helpers import message
from tfnst import files
from tfnst.checks import argument
from tfnst.files import is_machine_error, read_file, replaced_file

# Whoever writes a file says which argument its path is.
write_file = argument("output")(files.write_file)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")


def read_in_thread(path):
    """Reads a pipe to its end; join the thread, then look at the list."""
    received = []
    thread = threading.Thread(target=lambda: received.append(path.read_bytes()))
    thread.start()
    return thread, received


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_into(tmp_path, linked):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    write_file(path, None)  # Doesn't wait for a reader.
    thread, received = read_in_thread(pipe)
    write_file(path, b"painted")
    thread.join(300)
    assert received == [b"painted"]
    assert pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"][not linked :]


def test_a_device_is_written_into(tmp_path):
    ours, theirs = os.openpty()
    try:
        link = tmp_path / "out.png"
        link.symlink_to(os.ttyname(theirs))
        write_file(link, None)
        write_file(link, b"painted")
        assert os.read(ours, 100) == b"painted"
        assert link.is_symlink()
        assert os.listdir(tmp_path) == ["out.png"]
    finally:
        os.close(ours)
        os.close(theirs)


def test_an_open_file_without_a_name_is_written_into(tmp_path):
    with open(tmp_path / "x", "w+b") as file:
        os.unlink(tmp_path / "x")
        write_file(f"/proc/self/fd/{file.fileno()}", b"painted")
        assert file.read() == b"painted"
    assert os.listdir(tmp_path) == []


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # The names of sockets are short.
    with socket.socket(socket.AF_UNIX) as here:
        here.bind("socket")
        for data in (None, b"painted"):
            assert message(OSError, write_file, "socket", data) == (
                "`output` must be a file that can be written. "
                "Received: 'socket', which is no file"
            )
    assert os.listdir(tmp_path) == ["socket"]


def test_what_is_full_is_the_machines_fault(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(OSError, match="`output` must be a file") as caught:
        write_file(pipe, b"painted")
    assert str(caught.value).endswith(f"{str(pipe)!r}, but the disk is full")
    assert is_machine_error(caught.value)
    assert not is_machine_error(FileNotFoundError(errno.ENOENT, ""))
    assert not is_machine_error(ValueError())


def test_a_replaced_file_is_whole_or_stays(tmp_path):
    path = tmp_path / "file"
    with replaced_file(path) as hidden:
        assert os.path.dirname(hidden) == str(tmp_path)
        with open(hidden, "wb") as file:
            file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    path.chmod(0o640)

    def fail():
        with replaced_file(path) as hidden:
            with open(hidden, "wb") as file:
                file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"first"
    # An error about another file stays what it is.
    with pytest.raises(FileNotFoundError, match=r"'no\.png'"), replaced_file(path):
        read_file("no.png")
    with replaced_file(path) as hidden, open(hidden, "wb") as file:
        file.write(b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_replaces_a_file_may_wait_elsewhere(tmp_path):
    (tmp_path / "parts").mkdir()
    with replaced_file(tmp_path / "file", folder=str(tmp_path / "parts")) as hidden:
        assert os.path.dirname(hidden) == str(tmp_path / "parts")
        assert [each.name for each in tmp_path.iterdir()] == ["parts"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "parts"]
    assert not list((tmp_path / "parts").iterdir())


def test_a_replaced_file_must_be_in_a_folder_and_no_device(tmp_path):
    def enter(path):
        with argument("output"), replaced_file(path):
            raise AssertionError

    said = message(FileNotFoundError, enter, tmp_path / "no" / "file")
    assert said.startswith("`output` must be a path in a folder that exists.")
    assert message(ValueError, enter, os.devnull) == (
        f"`output` must be a regular file. Received: {os.devnull!r}"
    )


def refuse(code):
    """A function of the system that isn't supported here."""

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EPERM, errno.EXDEV])
def test_where_nothing_can_be_renamed_files_are_written_in_place(
    tmp_path, monkeypatch, code
):
    monkeypatch.setattr("os.replace", refuse(code))
    path = tmp_path / "out.png"
    for data in (b"first and long", b"second"):
        write_file(path, None)
        write_file(path, data)
        assert path.read_bytes() == data
    number = path.stat().st_ino
    with replaced_file(path) as hidden, open(hidden, "wb") as file:
        file.write(b"third")
    assert path.read_bytes() == b"third"
    assert path.stat().st_ino == number
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_disk_that_is_full_when_files_are_renamed_costs_no_older_file(
    tmp_path, monkeypatch
):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    monkeypatch.setattr("os.replace", refuse(errno.ENOSPC))
    said = message(OSError, write_file, path, b"newer")
    assert said.endswith("but the disk is full")
    assert path.read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["out.png"]


def test_no_half_of_a_new_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", refuse(errno.EPERM))
    monkeypatch.setattr("shutil.copyfileobj", refuse(errno.ENOSPC))
    said = message(OSError, write_file, tmp_path / "out.png", b"new")
    assert said.startswith("`output` must be a path in a folder that can be written to")
    assert said.endswith("but the disk is full")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("function", ["os.chmod", "os.fsync"])
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EPERM, errno.ENOTSUP])
def test_permissions_and_syncing_are_done_where_they_can_be(
    tmp_path, monkeypatch, function, code
):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    monkeypatch.setattr(function, refuse(code))
    write_file(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_disk_that_fails_to_sync_is_no_matter_of_support(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    monkeypatch.setattr("os.fsync", refuse(errno.EIO))
    message(OSError, write_file, path, b"newer")
    assert path.read_bytes() == b"older"


def test_a_file_may_be_writable_where_its_folder_is_not(tmp_path, monkeypatch):
    folder, temporary = tmp_path / "folder", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = folder / "out.png"
    path.write_bytes(b"older")
    opened = open

    def open_old(file, *rest, **more):
        if os.path.dirname(str(file)) == str(folder) and not os.path.exists(file):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(file, *rest, **more)

    monkeypatch.setattr("builtins.open", open_old)
    monkeypatch.setattr("os.replace", refuse(errno.EROFS))
    write_file(path, None)
    assert path.read_bytes() == b"older"
    write_file(path, b"newer")
    assert path.read_bytes() == b"newer"
    new = folder / "new.png"
    said = message(OSError, write_file, new, None)
    assert said.startswith("`output` must be a path in a folder that can be written to")
    assert os.listdir(folder) == ["out.png"]
    assert os.listdir(temporary) == []


def test_a_name_that_the_folder_refuses_is_refused_at_once(tmp_path, monkeypatch):
    opened = open

    def open_plain(file, *rest, **more):
        if ":" in str(file):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return opened(file, *rest, **more)

    monkeypatch.setattr("builtins.open", open_plain)
    said = message(OSError, write_file, tmp_path / "12:30.png", None)
    assert said.endswith("Invalid argument")
    long = tmp_path / ("ä" * 120 + ".png")
    write_file(long, None)
    write_file(long, b"painted")
    assert os.listdir(tmp_path) == [long.name]
