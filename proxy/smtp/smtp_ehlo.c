#include "proxy/smtp/smtp_ehlo.h"

#include <string.h>

void
smtp_ehlo_read(const struct smtp_reply *r, struct backend_caps *caps)
{
	struct slice rest = buf_slice(&r->text);

	memset(caps, 0, sizeof(*caps));
	slice_cut(&rest, '\n');			/* the first line is a greeting */
	while (rest.len > 0) {
		struct slice line = slice_cut(&rest, '\n'), word = slice_word(&line);

		if (slice_iis(word, "PIPELINING"))
			caps->pipelining = true;
		else if (slice_iis(word, "8BITMIME"))
			caps->eightbit = true;
		else if (slice_iis(word, "STARTTLS"))
			caps->starttls = true;
		else if (slice_iis(word, "SIZE")) {
			caps->has_size = true;
			if (!slice_number(slice_trim(line), &caps->size))
				caps->size = 0;	/* no limit told (RFC 1870 section 4) */
		}
	}
}

bool
smtp_ehlo_say(const struct smtp_offer *offer, struct buf *out)
{
	return buf_printf(out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n%s%s250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
	    offer->hostname, (unsigned long long)offer->size, offer->eightbit ? "250-8BITMIME\r\n" : "",
	    offer->starttls ? "250-STARTTLS\r\n" : "");
}
