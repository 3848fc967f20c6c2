"""Licences of the native libraries that wheels bundle, as their projects state them (SPDX)."""

from __future__ import annotations

import re

_FFMPEG = "LGPL-3.0-or-later (https://ffmpeg.org/legal.html; what its avcodec_license() answers)"
_GNU_EITHER = "LGPL-3.0-or-later OR GPL-2.0-or-later"
_KERBEROS = "MIT (https://web.mit.edu/kerberos/)"
_X = "MIT (https://gitlab.freedesktop.org/xorg/lib)"

LICENCES = {
    "SvtAv1Enc": "BSD-3-Clause-Clear AND Alliance for Open Media Patent License 1.0",
    "Xau": _X,
    "asound": "LGPL-2.1-or-later (https://www.alsa-project.org)",
    "avcodec": _FFMPEG,
    "avdevice": _FFMPEG,
    "avfilter": _FFMPEG,
    "avformat": _FFMPEG,
    "avif": "BSD-2-Clause (https://github.com/AOMediaCodec/libavif)",
    "avutil": _FFMPEG,
    "brotlicommon": "MIT (https://github.com/google/brotli)",
    "brotlidec": "MIT (https://github.com/google/brotli)",
    "com_err": _KERBEROS,
    "crypt": "LGPL-2.1-or-later (https://github.com/besser82/libxcrypt)",
    "crypto": "Apache-2.0 (https://www.openssl.org)",
    "dav1d": "BSD-2-Clause (https://code.videolan.org/videolan/dav1d)",
    "drm": "MIT (https://gitlab.freedesktop.org/mesa/drm)",
    "freetype": "FTL OR GPL-2.0-or-later (https://freetype.org)",
    "gfortran": "GPL-3.0-or-later WITH GCC-exception-3.1 (https://gcc.gnu.org)",
    "gmp": f"{_GNU_EITHER} (https://gmplib.org)",
    "gnutls": "LGPL-2.1-or-later (https://gnutls.org)",
    "gomp": "GPL-3.0-or-later WITH GCC-exception-3.1 (https://gcc.gnu.org)",
    "gssapi_krb5": _KERBEROS,
    "harfbuzz": "MIT (https://harfbuzz.github.io)",
    "hogweed": f"{_GNU_EITHER} (https://www.lysator.liu.se/~nisse/nettle/)",
    "jpeg": "IJG AND BSD-3-Clause (https://libjpeg-turbo.org)",
    "k5crypto": _KERBEROS,
    "keyutils": "LGPL-2.1-or-later (https://git.kernel.org/pub/scm/linux/kernel/git/dhowells/keyutils.git)",
    "krb5": _KERBEROS,
    "krb5support": _KERBEROS,
    "lber": "OLDAP-2.8 (https://www.openldap.org)",
    "lcms2": "MIT (https://littlecms.com)",
    "ldap": "OLDAP-2.8 (https://www.openldap.org)",
    "lzma": "0BSD (https://tukaani.org/xz/)",
    "mp3lame": "LGPL-2.0-or-later (https://lame.sourceforge.io)",
    "nettle": f"{_GNU_EITHER} (https://www.lysator.liu.se/~nisse/nettle/)",
    "opencore-amrnb": "Apache-2.0 (https://sourceforge.net/projects/opencore-amr/)",
    "opencore-amrwb": "Apache-2.0 (https://sourceforge.net/projects/opencore-amr/)",
    "openjp2": "BSD-2-Clause (https://www.openjpeg.org)",
    "opus": "BSD-3-Clause (https://opus-codec.org)",
    "png16": "libpng-2.0 (http://www.libpng.org)",
    "pq": "PostgreSQL (https://www.postgresql.org)",
    "quadmath": "LGPL-2.1-or-later (https://gcc.gnu.org)",
    "sasl2": "BSD-3-Clause-Attribution (https://www.cyrusimap.org/sasl/)",
    "scipy_openblas64_": "BSD-3-Clause (https://www.openblas.net)",
    "sharpyuv": "BSD-3-Clause (https://chromium.googlesource.com/webm/libwebp)",
    "sodium": "ISC (https://libsodium.org)",
    "ssl": "Apache-2.0 (https://www.openssl.org)",
    "swresample": _FFMPEG,
    "swscale": _FFMPEG,
    "tiff": "libtiff (https://libtiff.gitlab.io/libtiff/)",
    "unistring": f"{_GNU_EITHER} (https://www.gnu.org/software/libunistring/)",
    "vpl": "MIT (https://github.com/intel/libvpl)",
    "vpx": "BSD-3-Clause (https://www.webmproject.org)",
    "webp": "BSD-3-Clause (https://chromium.googlesource.com/webm/libwebp)",
    "webpdemux": "BSD-3-Clause (https://chromium.googlesource.com/webm/libwebp)",
    "webpmux": "BSD-3-Clause (https://chromium.googlesource.com/webm/libwebp)",
    "x264": "GPL-2.0-or-later (https://www.videolan.org/developers/x264.html)",
    "x265": "GPL-2.0-or-later (https://www.x265.org)",
    "xcb": _X,
    "xcb-shape": _X,
    "xcb-shm": _X,
    "xcb-xfixes": _X,
    "zmq": "MPL-2.0 (https://zeromq.org)",
    "zstd": "BSD-3-Clause OR GPL-2.0-only (https://facebook.github.io/zstd/)",
}
"""Name of a library, without `lib` and without versions → its licence, and where its source is."""


def library_name(file: str) -> str:
    """Return the name of a bundled library: `x264` for `libx264-d6533a8d.so.165`."""
    found = re.fullmatch(r"lib(.+?)(?:-[0-9a-f]{8})*\.so[\d.]*", file)
    return found[1].rstrip("-") if found else file
