#include "proxy/base/mem.h"
#include "proxy/imap/imap_int.h"

void
imap_caps_read(struct imap_caps *caps, struct slice words)
{
	*caps = (struct imap_caps){ false };
	const struct { const char *word; bool *cap; } rows[] = {
		{ "AUTH=PLAIN", &caps->auth_plain },		/* RFC 3501 section 6.2.2 */
		{ "ID", &caps->id },				/* RFC 2971 */
		{ "LITERAL+", &caps->literal_plus },		/* RFC 7888 */
		{ "LITERAL-", &caps->literal_minus },
		{ "LOGINDISABLED", &caps->login_disabled },	/* RFC 3501 section 6.2.3 */
		{ "MOVE", &caps->move },			/* RFC 6851 */
		{ "SASL-IR", &caps->sasl_ir },			/* RFC 4959 */
		{ "STARTTLS", &caps->starttls },
		{ "UIDPLUS", &caps->uidplus },			/* RFC 4315 */
		{ "UNSELECT", &caps->unselect },		/* RFC 3691 */
	};

	while (words.len > 0) {
		struct slice word = slice_word(&words);

		for (size_t i = 0; i < NITEMS(rows); i++)
			if (slice_iis(word, rows[i].word))
				*rows[i].cap = true;
	}
}
