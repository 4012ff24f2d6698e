#include "filters/charset.h"

#include <iconv.h>
#include <string.h>

#include "proxy/base/mem.h"
#include "proxy/base/str.h"

#define PIECE 4096	/* octets handed out at once */

/* What a charset is called in mail, and the converter that reads it best: supersets where readers
 * use them (WHATWG's table of labels). ISO-2022-CN-EXT stays out: its converter had
 * CVE-2024-2961, and nobody writes it. */
static struct {
	const char *names, *converter;
	iconv_t cd;		/* NULL: not opened */
} charsets[] = {
	{ "windows-1250 cp1250 x-cp1250",                                       "CP1250", NULL },
	{ "windows-1251 cp1251 x-cp1251 win-1251",                              "CP1251", NULL },
	{ "windows-1253 cp1253 x-cp1253",                                       "CP1253", NULL },
	{ "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 latin5",           "CP1254", NULL },
	{ "windows-1255 cp1255 x-cp1255",                                       "CP1255", NULL },
	{ "windows-1256 cp1256 x-cp1256",                                       "CP1256", NULL },
	{ "windows-1257 cp1257 x-cp1257",                                       "CP1257", NULL },
	{ "windows-1258 cp1258 x-cp1258",                                       "CP1258", NULL },
	{ "windows-874 cp874 tis-620 iso-8859-11 dos-874",                      "CP874", NULL },
	{ "iso-8859-2 iso8859-2 iso_8859-2 latin2 l2",                          "ISO-8859-2", NULL },
	{ "iso-8859-3 iso8859-3 latin3",                                        "ISO-8859-3", NULL },
	{ "iso-8859-4 iso8859-4 latin4",                                        "ISO-8859-4", NULL },
	{ "iso-8859-5 iso8859-5 cyrillic",                                      "ISO-8859-5", NULL },
	{ "iso-8859-6 iso8859-6 iso-8859-6-i iso-8859-6-e arabic",              "ISO-8859-6", NULL },
	{ "iso-8859-7 iso8859-7 greek",                                         "ISO-8859-7", NULL },
	{ "iso-8859-8 iso8859-8 iso-8859-8-i iso-8859-8-e hebrew",              "ISO-8859-8", NULL },
	{ "iso-8859-10 iso8859-10 latin6",                                      "ISO-8859-10", NULL },
	{ "iso-8859-13 iso8859-13",                                             "ISO-8859-13", NULL },
	{ "iso-8859-14 iso8859-14",                                             "ISO-8859-14", NULL },
	{ "iso-8859-15 iso8859-15 iso_8859-15 latin-9 latin9 l9",               "ISO-8859-15", NULL },
	{ "iso-8859-16 iso8859-16",                                             "ISO-8859-16", NULL },
	{ "koi8-r koi8 koi koi8_r cskoi8r",                                     "KOI8-R", NULL },
	{ "koi8-u koi8-ru",                                                     "KOI8-U", NULL },
	{ "ibm866 cp866 866 csibm866",                                          "CP866", NULL },
	{ "ibm437 cp437 437",                                                   "CP437", NULL },
	{ "ibm850 cp850 850",                                                   "CP850", NULL },
	{ "ibm852 cp852 852",                                                   "CP852", NULL },
	{ "macintosh mac x-mac-roman",                                          "MACINTOSH", NULL },
	{ "x-mac-cyrillic x-mac-ukrainian",                                     "MAC-CYRILLIC", NULL },
	{ "viscii",                                                             "VISCII", NULL },
	{ "gb18030 gbk gb2312 gb_2312-80 x-gbk cp936 csgb2312 euc-cn chinese",  "GB18030", NULL },
	{ "big5 big5-hkscs cn-big5 x-x-big5 csbig5 cp950",                      "BIG5-HKSCS", NULL },
	{ "shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932",         "CP932", NULL },
	{ "euc-jp x-euc-jp cseucpkdfmtjapanese",                                "EUC-JP", NULL },
	{ "iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 csiso2022jp cp50220",        "ISO-2022-JP-2", NULL },
	{ "euc-kr ks_c_5601-1987 ks_c_5601-1989 ks_c_5601 ksc5601 korean cseuckr windows-949 cp949", "CP949", NULL },
	{ "iso-2022-kr csiso2022kr",                                            "ISO-2022-KR", NULL },
	{ "utf-7 utf7 unicode-1-1-utf-7",                                       "UTF-7", NULL },
	{ "utf-16 utf16 unicode ucs-2 iso-10646-ucs-2",                         "UTF-16", NULL },
	{ "utf-16le utf16le",                                                   "UTF-16LE", NULL },
	{ "utf-16be utf16be",                                                   "UTF-16BE", NULL },
	{ "utf-32 utf32 ucs-4",                                                 "UTF-32", NULL },
};

unsigned
charset_init(void)
{
	unsigned opened = 0;

	for (size_t i = 0; i < NITEMS(charsets); i++) {
		if (charsets[i].cd == NULL) {
			iconv_t cd = iconv_open("UTF-8", charsets[i].converter);

			charsets[i].cd = cd != (iconv_t)-1 ? cd : NULL;
		}
		opened += charsets[i].cd != NULL;
	}
	return opened;
}

void
charset_free(void)
{
	for (size_t i = 0; i < NITEMS(charsets); i++) {
		if (charsets[i].cd != NULL)
			iconv_close(charsets[i].cd);
		charsets[i].cd = NULL;
	}
}

static bool
is_one_of(const char *name, const char *names)
{
	struct slice rest = slice_of(names);

	while (rest.len > 0)
		if (slice_iis(slice_word(&rest), name))
			return true;
	return false;
}

static iconv_t
find(const char *name)
{
	for (size_t i = 0; i < NITEMS(charsets); i++)
		if (is_one_of(name, charsets[i].names))
			return charsets[i].cd;
	return NULL;
}

size_t
charset_put(char out[4], unsigned long c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

unsigned
charset_cp1252(unsigned char c)
{
	static const uint16_t from_80[] = {
		0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
		0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
		0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
		0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
	};

	return c >= 0x80 && c < 0xa0 ? from_80[c - 0x80] : c;
}

static size_t
ascii_len(struct slice s)
{
	size_t len = 0;
	uint64_t word;

	while (len + sizeof(word) <= s.len) {
		memcpy(&word, s.at + len, sizeof(word));
		if (word & 0x8080808080808080u)
			break;
		len += sizeof(word);
	}
	while (len < s.len && (unsigned char)s.at[len] < 0x80)
		len++;
	return len;
}

/* How much at the start is well-formed UTF-8. */
static size_t
utf8_len(struct slice s)
{
	size_t len = 0;

	while (len < s.len) {
		size_t one;

		len += ascii_len(slice_part(s, len, s.len));
		if (len == s.len)
			break;
		one = str_utf8_len(slice_part(s, len, s.len));
		if (one == 0)
			break;
		len += one;
	}
	return len;
}

static void
from_utf8(struct slice in, bool (*out)(void *, struct slice), void *owner)
{
	while (in.len > 0) {
		size_t good = utf8_len(in);

		if (good > 0 && !out(owner, slice_part(in, 0, good)))
			return;
		in = slice_part(in, good, in.len);
		if (in.len > 0 && !out(owner, SLICE("\xef\xbf\xbd")))
			return;
		in = slice_part(in, 1, in.len);
	}
}

static void
from_latin1(struct slice in, bool (*out)(void *, struct slice), void *owner)
{
	char piece[PIECE];
	size_t used = 0;

	for (size_t i = 0; i < in.len; i++) {
		used += charset_put(piece + used, charset_cp1252((unsigned char)in.at[i]));
		if (used > sizeof(piece) - 4) {
			if (!out(owner, (struct slice){ piece, used }))
				return;
			used = 0;
		}
	}
	if (used > 0)
		out(owner, (struct slice){ piece, used });
}

static void
from_other(iconv_t cd, struct slice in, bool (*out)(void *, struct slice), void *owner)
{
	char piece[PIECE];

	iconv(cd, NULL, NULL, NULL, NULL);	/* what the last text left behind is forgotten */
	while (in.len > 0) {
		char *from = (char *)in.at, *to = piece;	/* iconv(3) writes to *to only */
		size_t left = in.len, room = sizeof(piece) - 3;
		size_t rc = iconv(cd, &from, &left, &to, &room);
		bool stuck = rc == (size_t)-1 && left == in.len;	/* at once: that is no character */

		in = slice_part(in, in.len - left, left);
		if (stuck) {
			to += charset_put(to, 0xfffd);
			in = slice_part(in, 1, in.len);
		}
		if (to > piece && !out(owner, (struct slice){ piece, (size_t)(to - piece) }))
			return;
	}
}

void
charset_utf8(struct slice charset, struct slice in, bool (*out)(void *, struct slice), void *owner)
{
	char name[64];
	bool named = slice_copy(charset, name, sizeof(name)) && name[0] != '\0';
	bool ascii = !named || is_one_of(name, "us-ascii ascii us ansi_x3.4-1968 iso646-us 7bit");
	iconv_t cd = ascii ? NULL : find(name);

	if (is_one_of(name, "utf-8 utf8 unicode-1-1-utf-8") || (ascii && utf8_len(in) == in.len))
		from_utf8(in, out, owner);
	else if (cd != NULL)
		from_other(cd, in, out, owner);
	else
		from_latin1(in, out, owner);
}
