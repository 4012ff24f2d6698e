/* zip.c - see zip.h. The fields are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (a member's
 * local header), 4.3.12 (its entry in the directory) and 4.3.16 (the end record). */
#include "filters/zip.h"

#include <string.h>

#define LOCAL_SIZE  30
#define ENTRY_SIZE  46
#define END_SIZE    22
#define END_SEARCH  (END_SIZE + 65535)	/* the end record carries a comment of up to 65535 octets */
#define IN_ZIP64    0xffffffffu		/* "the true value stands in a zip64 field" */

#define FLAG_ENCRYPTED   0x0001
#define FLAG_DESCRIPTOR  0x0008		/* the sizes stand behind the data, and in the directory */
#define FLAG_MASKED      0x2000		/* the local header's values are masked */

static const char too_big[] = "ZIP_MEMBER_TOO_BIG";
static const char zip64[] = "ZIP_ZIP64";
static const char method_unknown[] = "ZIP_METHOD";
static const char inconsistent[] = "ZIP_INCONSISTENT";

struct entry {			/* what the directory says of one member */
	unsigned flags, name_len, extra_len, comment_len;
	uint32_t packed, unpacked, at;
};

struct archive {
	struct slice bytes;
	uint64_t max_file;
	size_t directory;	/* where it begins */
	bool by_directory;	/* libclamav goes by the directory, not by local headers it came across */
};

static unsigned
le16(struct slice s, size_t at)
{
	const unsigned char *p = (const unsigned char *)s.at + at;

	return p[0] | (unsigned)p[1] << 8;
}

static uint32_t
le32(struct slice s, size_t at)
{
	return le16(s, at) | (uint32_t)le16(s, at + 2) << 16;
}

/* Is there a record of `size` octets with this signature? Whoever asked may read all of it. */
static bool
record_at(struct slice s, size_t at, const char *signature, size_t size)
{
	return at <= s.len && size <= s.len - at && memcmp(s.at + at, signature, 4) == 0;
}

/* Methods that libclamav unpacks: stored, imploded, deflate, deflate64, bzip2. */
static bool
method_known(unsigned method)
{
	return method == 0 || method == 6 || method == 8 || method == 9 || method == 12;
}

static struct entry
entry_read(struct slice s, size_t at)
{
	return (struct entry){
		.flags = le16(s, at + 8),
		.packed = le32(s, at + 20),
		.unpacked = le32(s, at + 24),
		.name_len = le16(s, at + 28),
		.extra_len = le16(s, at + 30),
		.comment_len = le16(s, at + 32),
		.at = le32(s, at + 42),
	};
}

/* libclamav takes method and flags from the local header, and the sizes too unless a descriptor
 * follows; everyone else takes them from the directory. */
static const char *
member_unseen(const struct archive *a, const struct entry *e, size_t at)
{
	unsigned flags, method;
	uint32_t packed, unpacked;

	if (!record_at(a->bytes, at, "PK\3\4", LOCAL_SIZE))
		return inconsistent;
	flags = le16(a->bytes, at + 6);
	method = le16(a->bytes, at + 8);
	packed = le32(a->bytes, at + 18);
	unpacked = le32(a->bytes, at + 22);
	if ((flags & FLAG_MASKED) || ((flags ^ e->flags) & FLAG_ENCRYPTED))
		return inconsistent;
	if (flags & FLAG_DESCRIPTOR) {
		if (!a->by_directory)
			return inconsistent;	/* a local header alone does not say how long it is */
	} else {
		if (packed == IN_ZIP64 || unpacked == IN_ZIP64)
			return zip64;
		if (packed != e->packed)
			return inconsistent;
	}
	if (!(flags & FLAG_ENCRYPTED) && !method_known(method))
		return method_unknown;
	return NULL;
}

static const char *
directory_unseen(const struct archive *a, size_t shift)
{
	size_t at = a->directory;
	const char *unseen;

	while (record_at(a->bytes, at, "PK\1\2", ENTRY_SIZE)) {
		struct entry e = entry_read(a->bytes, at);

		if (e.packed == IN_ZIP64 || e.unpacked == IN_ZIP64 || e.at == IN_ZIP64)
			return zip64;
		if (e.packed > a->max_file || e.unpacked > a->max_file)
			return too_big;
		if ((unseen = member_unseen(a, &e, shift + e.at)) != NULL)
			return unseen;
		at += ENTRY_SIZE + e.name_len + e.extra_len + e.comment_len;
	}
	return NULL;
}

/* Where the end record at `at` says the directory is: counted from its own place, as most
 * programs do (so archives with something in front still open), or from the start of the file. */
static bool
directory_find(struct slice s, size_t at, size_t *directory)
{
	uint32_t size = le32(s, at + 12), offset = le32(s, at + 16);

	if (size <= at && record_at(s, at - size, "PK\1\2", ENTRY_SIZE)) {
		*directory = at - size;
		return true;
	}
	*directory = offset;
	return record_at(s, offset, "PK\1\2", ENTRY_SIZE);
}

const char *
zip_unseen(struct slice bytes, uint64_t max_file)
{
	struct archive a = { .bytes = bytes, .max_file = max_file };
	/* The magic number at the very start is what libclamav tells a zip archive by. */
	bool typed = bytes.len >= 4 && (memcmp(bytes.at, "PK\3\4", 4) == 0 || memcmp(bytes.at, "PK00", 4) == 0);
	size_t lowest = bytes.len > END_SEARCH ? bytes.len - END_SEARCH : 0;
	bool clam_chose = false;	/* libclamav would have taken an end record that we passed over */

	if (bytes.len < END_SIZE)
		return typed ? inconsistent : NULL;
	for (size_t at = bytes.len - END_SIZE + 1; at-- > lowest; ) {
		uint32_t offset;

		if (!record_at(bytes, at, "PK\5\6", END_SIZE))
			continue;
		offset = le32(bytes, at + 16);
		if (directory_find(bytes, at, &a.directory)) {
			if (offset == IN_ZIP64)
				return zip64;
			if (typed && (clam_chose || offset != a.directory))
				return inconsistent;	/* two archives, one behind the other */
			a.by_directory = typed;
			return directory_unseen(&a, a.directory > offset ? a.directory - offset : 0);
		}
		if (offset == IN_ZIP64)
			return zip64;
		if (offset + (uint64_t)ENTRY_SIZE <= bytes.len)
			clam_chose = true;
	}
	/* A local header at the start and no directory: libclamav looks at nothing, but programs
	 * that read from the front, or repair, do. */
	return typed ? inconsistent : NULL;
}
