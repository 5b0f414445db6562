"""Hides the secrets of a database's URL, which no sentence, file or log is to hold."""

import os
import re
from urllib.parse import unquote, unquote_plus

VARIABLE = "R3NN_STORAGE"  # of the environment: the URL, where --storage gives none
MARK = "***"
HARMLESS = {  # parameters of a URL that may be shown; whatever another one says is taken for a secret
    *("host", "hostaddr", "port", "user", "dbname", "service", "unix_socket", "driver", "charset"),
    *("sslmode", "sslrootcert", "application_name", "client_encoding", "connect_timeout", "passfile"),
    "target_session_attrs",
}
#: SQLAlchemy reads more, but of what it reads otherwise nobody could say which part is the password
URL = re.compile(
    r"(?P<scheme>[\w.+-]+://)"
    r"((?P<user>[^:/?@\s]*)(:(?P<password>[^?@\s]*))?@)?"
    r"(?P<place>(\[[\da-fA-F:.]*\]|[^:/?@\s\[\]]*)(:\d{0,5})?(/[^:?@\s]*)?)"
    r"(\?(?P<query>[^@\s]*))?"
)


def shown(url: str) -> str:
    """Writes a URL as people may read it, *** in place of each secret.

    Of what is no plain URL hardly anything is left.
    """
    match = URL.fullmatch(url)
    if match is None:
        scheme = re.match(r"[\w.+-]+://", url)
        return url if re.fullmatch(r"[\w.-]*", url) else f"{scheme[0] if scheme else ''}{MARK}"
    user = match["user"] is not None and match["user"] + (f":{MARK}" if match["password"] else "") + "@"
    query = match["query"] and "&".join(
        part if _harmless(part) else MARK for part in match["query"].split("&")
    )
    return f"{match['scheme']}{user or ''}{match['place']}{f'?{query}' if query else ''}"


def place(url: str) -> str:
    """Tells a database from others by its URL without secrets, whichever password opens it."""
    start, _, query = shown(url).partition("?")
    rest = "&".join(part for part in query.split("&") if part != MARK)
    return start.replace(f":{MARK}@", "@") + (f"?{rest}" if rest else "")


def hide(text: str, url: str = "") -> str:
    """Removes from `text` the secrets of `url`, of R3NN_STORAGE, and of what looks like a URL or a
    password."""
    secrets = {*_secrets(url), *_secrets(os.environ.get(VARIABLE, ""))}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MARK)
    return re.sub(r"\S*(?:://|:\S*@|(?i:passw\w*|pwd)=)\S*", lambda word: shown(word[0]), text)


def clean(error: BaseException, url: str = "") -> None:
    """Hides secrets in what an exception says, and in what those say that it came from: for tracebacks."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.args = tuple(hide(word, url) if isinstance(word, str) else word for word in one.args)
            rest += [one.__cause__, one.__context__]


def _harmless(part: str) -> bool:
    name, _, value = part.partition("=")
    return unquote(name).lower() in HARMLESS and re.fullmatch(r"[\w.,:/%+~-]*", value) is not None


def _secrets(url: str) -> set[str]:
    """Collects each secret as the URL has it, and decoded."""
    match = URL.fullmatch(url)
    if match is None:
        return set()
    parts = [
        part.partition("=")[2] or part for part in (match["query"] or "").split("&") if not _harmless(part)
    ]
    raw = [match["password"] or "", *parts]
    return {word for one in raw for word in (one, unquote(one), unquote_plus(one)) if word}
