"""Edits a configuration where it stands: its comments, order and everything not asked for stay.

The tests load the configuration that is shipped; they only set what a test must (ports, paths, names).
What is to be changed and is not there is an error, never a silent nothing."""

import re

TOKEN = re.compile(r"""
    (?P<blank>[\s]+|\#[^\n]*)
  | (?P<mark>[{};])
  | (?P<word>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s{};\#"'][^\s{};]*)
""", re.VERBOSE)


class Statement:
    """`words` up to a ';' or a '{': where it begins and ends in the text; a block's statements."""

    def __init__(self, words, start):
        self.words, self.start = words, start
        self.end = self.body = self.children = None

    @property
    def key(self):
        return self.words[0]


def parse(text):
    """The statements of a configuration's text."""
    top, stack, words, start = [], [], [], None
    here, at = top, 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise ValueError("no configuration: %r" % text[at:at + 40])
        at = token.end()
        if token["blank"]:
            continue
        if token["word"]:
            if not words:
                start = token.start()
            words.append(token["word"])
        elif token["mark"] == "{":
            block = Statement(words, start)
            block.body, block.children = token.end(), []
            here.append(block)
            stack.append(here)
            here, words = block.children, []
        elif token["mark"] == ";":
            statement = Statement(words, start)
            statement.end = token.end()
            here.append(statement)
            words = []
        else:
            here = stack.pop()
            here[-1].end = token.end()
    if stack or words:
        raise ValueError("the configuration ends inside a block or a setting")
    return top


class Conf:
    """A configuration's text. A path names one setting: "scan-timeout", "listener.max-size" (the first
    listener), "listener/tls.address" (the one called tls)."""

    def __init__(self, text):
        self.text = text
        parse(text)

    def __str__(self):
        return self.text

    def find(self, kind):
        """The first block of "KIND" or "KIND/NAME"."""
        kind, _, name = kind.partition("/")
        for statement in parse(self.text):
            if statement.children is not None and statement.key == kind and (not name or name in statement.words[1:]):
                return statement
        raise KeyError("the configuration has no block %s %s" % (kind, name))

    def set(self, path, value):
        """Sets one setting. It may be absent (its default stood), its block may not. The line where it stands."""
        block, _, key = path.rpartition(".")
        inside = self.find(block) if block else None
        statements = inside.children if inside else parse(self.text)
        same = [s for s in statements if s.key == key]
        if same:
            # Further ones of the same name (rules may be repeated) go: the value given is the whole value.
            for extra in reversed(same[1:]):
                self.text = self.text[:extra.start] + self.text[extra.end:]
            at = same[0].start
            self.text = "%s%s %s;%s" % (self.text[:at], key, value, self.text[same[0].end:])
            return self._line(at)
        at = inside.body if inside else 0
        self.text = "%s\n%s %s;%s%s" % (self.text[:at], key, value, "" if inside else "\n", self.text[at:])
        return self._line(at + 1)

    def _line(self, at):
        return self.text.count("\n", 0, at) + 1

    def unset(self, path):
        """Takes a setting or (by "KIND/NAME") a whole block away, if it is there."""
        block, _, key = path.rpartition(".")
        kind, _, name = key.partition("/")
        for statement in reversed(self.find(block).children if block else parse(self.text)):
            if statement.key == kind and (not name or name in statement.words[1:]):
                self.text = self.text[:statement.start] + self.text[statement.end:]

    def replace(self, kind, text):
        """Puts a text of one's own where the first statement or block of this kind stood, takes away the others."""
        found = [s for s in parse(self.text) if s.key == kind]
        if not found:
            raise KeyError("the configuration says nothing about %s" % kind)
        for statement in reversed(found):
            first = statement is found[0]
            self.text = self.text[:statement.start] + (text if first else "") + self.text[statement.end:]

    def add(self, text):
        """Appends a text of one's own; the line where it stands."""
        self.text = self.text.rstrip("\n") + "\n"
        at = len(self.text)
        self.text += text + "\n"
        parse(self.text)
        return self._line(at)
