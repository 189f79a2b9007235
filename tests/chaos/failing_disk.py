"""A disk that fails at one recording, for as long as a file says so: put before the C library, for all that a process loads."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int fails(int fd, size_t size) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "RECORDING") && lseek(fd, 0, SEEK_CUR) + (long)size > FROM && !access("WHILE", F_OK);
}
ssize_t read(int fd, void *into, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    if (fails(fd, size)) { errno = EIO; return -1; }
    return real(fd, into, size);
}
"""


def failing_disk(folder: Path, recording: str, from_byte: int, marker: Path) -> Path:
    """A library under which a recording gives an input/output error from some byte on, while `marker` is there."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler, which makes the failing disk")
    source, library = folder / "disk.c", folder / "disk.so"
    told = {"RECORDING": recording, "FROM": str(from_byte), "WHILE": str(marker)}
    text = SOURCE
    for word, value in told.items():
        text = text.replace(word, value)
    source.write_text(text, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library
