#include "proxy/sasl/watch.h"

#include <string.h>

#include "proxy/base/mem.h"

#define UNSEEN_MESSAGES 10	/* of a mechanism that we do not read: Kerberos and NTLM need three */

/* A name as we keep it; SASLprep (RFC 4013 section 2.3) has no control characters either. */
static bool
keep_name(struct slice name, char out[SASL_NAME_MAX + 1])
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.at[i] < ' ' || name.at[i] == 0x7f)
			return false;
	return slice_copy(name, out, SASL_NAME_MAX + 1);
}

static bool
keep_user(struct sasl_watch *w, struct slice name)
{
	return name.len > 0 && keep_name(name, w->user);
}

/* [authzid] NUL user NUL password */
static bool
read_plain(struct sasl_watch *w, struct slice message)
{
	struct slice rest = message, authzid, user;
	size_t nuls = 0;

	for (size_t i = 0; i < message.len; i++)
		nuls += message.at[i] == '\0';
	authzid = slice_cut(&rest, '\0');
	user = slice_cut(&rest, '\0');
	return nuls == 2 && keep_name(authzid, w->authzid) && keep_user(w, user);
}

/* The name, then the password, each to a challenge of its own; widely the name is sent as an initial response. */
static bool
read_login(struct sasl_watch *w, struct slice message)
{
	return w->messages > 1 || keep_user(w, message);
}

static bool
is_hex(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789abcdefABCDEF", s.at[i]) == NULL || s.at[i] == '\0')
			return false;
	return true;
}

/* user SP digest. A name may hold blanks, so the last one counts. */
static bool
read_cram_md5(struct sasl_watch *w, struct slice message)
{
	struct slice digest = slice_part(message, message.len - (message.len < 33 ? message.len : 33), 33);

	return digest.len == 33 && digest.at[0] == ' ' && is_hex(slice_part(digest, 1, 32)) &&
	       keep_user(w, slice_part(message, 0, message.len - 33));
}

static void
skip_blanks(struct slice *s)
{
	while (s->len > 0 && strchr(" \t\r\n", s->at[0]) != NULL && s->at[0] != '\0')
		*s = slice_part(*s, 1, s->len);
}

/* The inside of a quoted string at the start of *rest, its backslashes included (RFC 2831 section 7.1). False: it
 * has no end. */
static bool
take_quoted(struct slice *rest, struct slice *inside)
{
	for (size_t i = 1; i < rest->len; i++) {
		if (rest->at[i] == '"') {
			*inside = slice_part(*rest, 1, i - 1);
			*rest = slice_part(*rest, i + 1, rest->len);
			return true;
		}
		i += rest->at[i] == '\\';
	}
	return false;
}

/* The name that stands in a quoted string. */
static bool
keep_quoted(struct slice inside, char out[SASL_NAME_MAX + 1])
{
	char name[SASL_NAME_MAX];
	size_t n = 0;

	for (size_t i = 0; i < inside.len; i++) {
		i += inside.at[i] == '\\';
		if (n == sizeof(name))
			return false;
		name[n++] = inside.at[i];
	}
	return keep_name((struct slice){ name, n }, out);
}

/* One "key=value" of a digest-response. False: it is not of that form. */
static bool
take_directive(struct sasl_watch *w, struct slice *rest)
{
	struct slice key, value, inside;
	size_t n = 0;
	char *name;

	while (n < rest->len && rest->at[n] != '=' && rest->at[n] != ',' && rest->at[n] != '"')
		n++;
	if (n == rest->len || rest->at[n] != '=')
		return false;
	key = slice_trim(slice_part(*rest, 0, n));
	name = slice_iis(key, "username") ? w->user : slice_iis(key, "authzid") ? w->authzid : NULL;
	*rest = slice_part(*rest, n + 1, rest->len);
	skip_blanks(rest);
	if (slice_starts(*rest, "\""))	/* a name that is said twice: who reads which? */
		return take_quoted(rest, &inside) && (name == NULL || (name[0] == '\0' && keep_quoted(inside, name)));
	for (n = 0; n < rest->len && rest->at[n] != ','; n++)
		if (rest->at[n] == '"')
			return false;
	value = slice_trim(slice_part(*rest, 0, n));
	*rest = slice_part(*rest, n, rest->len);
	/* Names are always quoted. A security layer (auth-int, auth-conf) would hide all that follows from us. */
	return name == NULL && (!slice_iis(key, "qop") || slice_is(value, "auth"));
}

/* RFC 2831 section 2.1.2; behind the response comes only an empty answer to rspauth. */
static bool
read_digest_md5(struct sasl_watch *w, struct slice rest)
{
	if (w->messages > 1)
		return rest.len == 0;
	for (;;) {
		skip_blanks(&rest);
		if (rest.len > 0 && rest.at[0] != ',' && !take_directive(w, &rest))
			return false;
		skip_blanks(&rest);
		if (rest.len == 0)
			return w->user[0] != '\0';
		if (rest.at[0] != ',')
			return false;
		rest = slice_part(rest, 1, rest.len);
	}
}

/* saslname: "," and "=" stand there as =2C and =3D (RFC 5802 section 5.1). */
static bool
keep_saslname(struct slice coded, char out[SASL_NAME_MAX + 1])
{
	char name[SASL_NAME_MAX];
	size_t n = 0;

	for (size_t i = 0; i < coded.len; i++) {
		char c = coded.at[i];

		if (c == '=') {
			struct slice escape = slice_part(coded, i, 3);

			if (!slice_is(escape, "=2C") && !slice_is(escape, "=3D"))
				return false;
			c = escape.at[2] == 'C' ? ',' : '=';
			i += 2;
		}
		if (n == sizeof(name))
			return false;
		name[n++] = c;
	}
	return n > 0 && keep_name((struct slice){ name, n }, out);
}

/* "n,a=authzid," in front of SCRAM's and OAUTHBEARER's first message. A client that binds to its TLS
 * channel ("p=") binds to the one with us, and the server would see another. */
static bool
take_gs2_header(struct sasl_watch *w, struct slice *rest, bool bound)
{
	struct slice flag = slice_cut(rest, ','), authzid;

	if (rest->len == 0 || !(bound ? slice_starts(flag, "p=") : slice_is(flag, "n") || slice_is(flag, "y")))
		return false;
	if (!slice_has(*rest, ','))
		return false;
	authzid = slice_cut(rest, ',');
	return authzid.len == 0 || (slice_starts(authzid, "a=") && keep_saslname(slice_part(authzid, 2, authzid.len), w->authzid));
}

/* client-first-message, client-final-message, and an empty answer to the server's signature, which SMTP cannot
 * send along with its 235 (RFC 5802 section 7). "m=" in front asks for extensions that there are none of. */
static bool
read_scram(struct sasl_watch *w, struct slice rest)
{
	bool bound = w->mechanism == SASL_SCRAM_SHA_1_PLUS || w->mechanism == SASL_SCRAM_SHA_256_PLUS;
	struct slice name;

	if (w->messages == 2)
		return slice_starts(rest, "c=");
	if (w->messages > 2)
		return rest.len == 0;
	if (!take_gs2_header(w, &rest, bound) || !slice_has(rest, ','))
		return false;
	name = slice_cut(&rest, ',');
	return slice_starts(name, "n=") && keep_saslname(slice_part(name, 2, name.len), w->user);
}

/* To a challenge that says why a token does not do the answer is empty, or ^A (RFC 7628 section 3.2.3): clients say
 * either in both mechanisms. */
static bool
is_regret(struct slice message)
{
	return message.len == 0 || slice_is(message, "\1");
}

/* user=NAME ^A auth=Bearer TOKEN ^A ^A */
static bool
read_xoauth2(struct sasl_watch *w, struct slice rest)
{
	struct slice name;

	if (w->messages > 1)
		return is_regret(rest);
	name = slice_cut(&rest, '\1');
	return slice_starts(name, "user=") && slice_istarts(rest, "auth=") && keep_user(w, slice_part(name, 5, name.len));
}

/* gs2-header ^A key=value ^A ... ^A (RFC 7628 section 3.1). The name is optional: the token may tell the server. */
static bool
read_oauthbearer(struct sasl_watch *w, struct slice rest)
{
	if (w->messages > 1)
		return is_regret(rest);
	if (!take_gs2_header(w, &rest, false) || !slice_starts(rest, "\1"))
		return false;
	memcpy(w->user, w->authzid, sizeof(w->user));
	w->authzid[0] = '\0';
	return true;
}

/* The identity to act as; empty: the one that was proved otherwise. */
static bool
read_external(struct sasl_watch *w, struct slice message)
{
	return keep_name(message, w->authzid);
}

static bool
read_unseen(struct sasl_watch *w, struct slice message)
{
	(void)w;
	(void)message;
	return true;
}

static const struct reader {
	unsigned mechanism;
	bool client_begins;
	unsigned messages;		/* of the client, at the most */
	bool (*read)(struct sasl_watch *, struct slice message);
} readers[] = {
	{ SASL_PLAIN,             true,  1,               read_plain },
	{ SASL_LOGIN,             true,  2,               read_login },	/* by its draft the server begins; clients do */
	{ SASL_CRAM_MD5,          false, 1,               read_cram_md5 },
	{ SASL_DIGEST_MD5,        false, 2,               read_digest_md5 },
	{ SASL_SCRAM_SHA_1,       true,  3,               read_scram },
	{ SASL_SCRAM_SHA_256,     true,  3,               read_scram },
	{ SASL_SCRAM_SHA_512,     true,  3,               read_scram },
	{ SASL_XOAUTH2,           true,  2,               read_xoauth2 },
	{ SASL_OAUTHBEARER,       true,  2,               read_oauthbearer },
	{ SASL_EXTERNAL,          true,  1,               read_external },
	{ SASL_SCRAM_SHA_1_PLUS,  true,  3,               read_scram },
	{ SASL_SCRAM_SHA_256_PLUS, true, 3,               read_scram },
	{ SASL_GSSAPI,            true,  UNSEEN_MESSAGES, read_unseen },
	{ SASL_NTLM,              true,  UNSEEN_MESSAGES, read_unseen },
};
_Static_assert(NITEMS(readers) == SASL_MECHANISMS, "a reader for each mechanism");

static const struct reader *
reader_of(unsigned mechanism)
{
	for (size_t i = 0; i < NITEMS(readers); i++)
		if (readers[i].mechanism == mechanism)
			return &readers[i];
	return NULL;
}

void
sasl_watch_begin(struct sasl_watch *w, unsigned mechanism)
{
	memset(w, 0, sizeof(*w));
	w->mechanism = mechanism;
}

bool
sasl_watch_client(struct sasl_watch *w, struct slice message)
{
	const struct reader *r = reader_of(w->mechanism);

	return r != NULL && w->messages < r->messages && (w->messages++, r->read(w, message));
}

bool
sasl_watch_over(const struct sasl_watch *w)
{
	const struct reader *r = reader_of(w->mechanism);

	return r == NULL || w->messages >= r->messages;
}

bool
sasl_client_begins(unsigned mechanism)
{
	const struct reader *r = reader_of(mechanism);

	return r != NULL && r->client_begins;
}
