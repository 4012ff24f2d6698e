"""What the RFCs allow in a command to an SMTP server, given what it offered: a Refusal for everything else.

RFC 5321 (and 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689, 9422; PRDR as Exim speaks it).
It is deliberately no relative of Gatepost's own parsers, and regular expressions read as the grammar does."""

import re

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
UTF8 = r"[\u0080-\U0010ffff]"
XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"  # RFC 3461 section 4
LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]"

COMMAND_MAX = 512  # RFC 5321 section 4.5.3.1.4, with CR LF; extensions add to MAIL and RCPT
MAIL_MORE = {"SIZE": 26, "8BITMIME": 17, "BINARYMIME": 17, "DSN": 120, "AUTH": 500, "SMTPUTF8": 10, "DELIVERBY": 17, "PRDR": 5,
             "REQUIRETLS": 11}
RCPT_MORE = {"DSN": 528}
XFORWARD = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
XCLIENT = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")


class Refusal(Exception):
    """`reply` is what the client hears; the words are the fault."""


def atoms(utf8):
    atom = "(?:%s|%s)" % (ATOM, UTF8) if utf8 else ATOM
    label = r"(?:[A-Za-z0-9]|%s)(?:[A-Za-z0-9-]|%s)*" % (UTF8, UTF8) if utf8 else r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    return atom, r"%s(?:\.%s)*" % (label, label)


def mailbox(utf8):
    atom, domain = atoms(utf8)
    quoted = r'"(?:[ !#-\[\]-~]|\\[ -~]%s)*"' % ("|" + UTF8 if utf8 else "")
    return r"(?:%s+(?:\.%s+)*|%s)@(?:%s|%s)" % (atom, atom, quoted, domain, LITERAL)


MAILBOX = {utf8: re.compile("<(%s)>" % mailbox(utf8)) for utf8 in (False, True)}
HELLO = re.compile("(?:%s|%s)" % (atoms(False)[1], LITERAL))
PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u0080-\U0010ffff]+))?")


def path(text, utf8, empty=False, postmaster=False):
    """The octets from '<' to '>' that begin `text`, and what stands behind them."""
    if empty and text.startswith("<>"):
        return "<>", text[2:]
    if postmaster and text[:12].lower() == "<postmaster>":
        return text[:12], text[12:]
    found = MAILBOX[utf8].match(text)
    if found is None:
        if not utf8 and MAILBOX[True].match(text):
            raise Refusal("553 5.6.7 An address in UTF-8 without SMTPUTF8")
        raise Refusal("501 5.1.3 Not an address: %s" % text[:80])
    if len(found[1].rpartition("@")[0].encode()) > 64 or len(found[1].encode()) > 254:
        raise Refusal("501 5.1.3 The address is too long")
    return found[0], text[found.end():]


def parameters(rest):
    """" SIZE=5 SMTPUTF8" as a dict in order."""
    found = {}
    if not rest:
        return found
    if rest[0] != " ":
        raise Refusal("501 5.5.4 No blank behind the address")
    for word in rest[1:].split(" "):
        said = PARAMETER.fullmatch(word)
        if said is None:
            raise Refusal("501 5.5.4 Not a parameter: %r" % word)
        name = said[1].upper()
        if name in found:
            raise Refusal("501 5.5.4 %s is said twice" % name)
        found[name] = said[2]
    return found


def matching(pattern, most=None):
    return lambda value: value is not None and re.fullmatch(pattern, value) is not None and (most is None or len(value) <= most)


def nothing(value):
    return value is None


def body(offers):
    words = ["7BIT"] + ["8BITMIME"] * ("8BITMIME" in offers) + ["BINARYMIME"] * ("BINARYMIME" in offers)
    return matching("(?i:%s)" % "|".join(words))


def mail_parameters(offers, tls):
    """What may stand behind MAIL's address: {name: whether a value is one}."""
    known = {}
    if "SIZE" in offers:
        known["SIZE"] = matching(r"\d{1,20}")
    if "8BITMIME" in offers or "BINARYMIME" in offers:
        known["BODY"] = body(offers)
    if "SMTPUTF8" in offers:
        known["SMTPUTF8"] = nothing
    if "DSN" in offers:
        known["RET"], known["ENVID"] = matching("(?i:FULL|HDRS)"), matching(XTEXT, 100)
    if "AUTH" in offers:
        known["AUTH"] = matching("%s|<>" % XTEXT, 500)
    if "DELIVERBY" in offers:
        known["BY"] = matching(r"-?\d{1,9};(?i:[NR]T?)")
    if "REQUIRETLS" in offers and tls:
        known["REQUIRETLS"] = nothing
    if "PRDR" in offers:
        known["PRDR"] = nothing
    return known


def rcpt_parameters(offers):
    if "DSN" not in offers:
        return {}
    return {"NOTIFY": matching(r"(?i:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})"),
            "ORCPT": matching(r"(?i:rfc822;%s|utf-8;[!-~\u0080-\U0010ffff]+)" % XTEXT, 500)}


def check(said, known):
    for name, value in said.items():
        if name not in known:
            raise Refusal("555 5.5.4 %s was not offered" % name)
        if not known[name](value):
            raise Refusal("501 5.5.4 Not a value of %s: %s" % (name, value))


def argument(command, word):
    """What stands behind "MAIL FROM:" or "RCPT TO:"."""
    if command[4:].upper()[:len(word) + 1] != " " + word:
        raise Refusal("501 5.5.2 %s %s is expected" % (command[:4], word))
    return command[5 + len(word):]


def mail(command, offers, tls):
    """MAIL: (path, parameters)."""
    text = argument(command, "FROM:")
    utf8 = "SMTPUTF8" in offers and bool(re.search(r"(?i) SMTPUTF8(?: |$)", text))
    address, rest = path(text, utf8, empty=True)
    said = parameters(rest)
    check(said, mail_parameters(offers, tls))
    return address, said


def rcpt(command, offers, utf8):
    """RCPT: (path, parameters)."""
    address, rest = path(argument(command, "TO:"), utf8, postmaster=True)
    said = parameters(rest)
    check(said, rcpt_parameters(offers))
    return address, said


def line(octets, offers):
    """A whole command with its CR LF as text."""
    if not octets.endswith(b"\r\n"):
        raise Refusal("500 5.5.2 A line that ends in a bare LF")
    octets = octets[:-2]
    if b"\r" in octets or b"\n" in octets or b"\0" in octets:
        raise Refusal("500 5.5.2 CR, LF or NUL inside a command")
    verb = octets[:4].upper()
    most = COMMAND_MAX + sum((MAIL_MORE if verb == b"MAIL" else RCPT_MORE if verb == b"RCPT" else {}).get(o, 0) for o in offers)
    if len(octets) + 2 > most:
        raise Refusal("500 5.5.2 A line of %d octets; %d are allowed" % (len(octets) + 2, most))
    try:
        text = octets.decode("utf-8" if "SMTPUTF8" in offers else "ascii")
    except UnicodeDecodeError:
        raise Refusal("500 5.5.2 Octets above 127 in a command") from None
    if text != text.rstrip(" \t"):
        raise Refusal("501 5.5.2 Blanks at the end of a command")  # RFC 5321 section 4.1.1: SHOULD NOT be sent
    return text


def attributes(text, known):
    """XCLIENT's and XFORWARD's arguments as a dict."""
    found = {}
    for word in text.split(" "):
        name, equals, value = word.partition("=")
        if not equals or name.upper() not in known or not re.fullmatch(XTEXT, value) or name.upper() in found:
            raise Refusal("501 5.5.4 Not an attribute: %r" % word)
        found[name.upper()] = value
    return found


# RFC 2920 section 3.1: these may only be the last ones of a group, for their answer changes what follows.
LAST = {"EHLO", "HELO", "LHLO", "DATA", "VRFY", "EXPN", "TURN", "QUIT", "NOOP", "STARTTLS", "AUTH", "ETRN", "HELP", "XCLIENT"}


def content(octets, binary, eight, chunked):
    """What is wrong with a message's octets (as they came, dots doubled unless `chunked`); None: nothing."""
    if not binary:
        if b"\0" in octets:
            return "550 5.6.0 NUL inside a message"
        if octets.count(b"\n") != octets.count(b"\r\n") or octets.count(b"\r") != octets.count(b"\r\n"):
            return "550 5.6.0 A bare CR or LF inside a message"
        if not eight and not octets.isascii():
            return "554 5.6.1 Octets above 127 without BODY=8BITMIME"
    if not chunked and re.search(rb"(?:\A|\r\n)\.(?!\.)", octets):
        return "550 5.6.0 A dot at the beginning of a line is not doubled"
    return None
