/* Any message, read whole and in pieces: both must tell the same; then rendered as the rules see
 * it. The first octet of the input chooses the size of the pieces. */
#include <stddef.h>
#include <stdlib.h>

#include "filters/charset.h"
#include "filters/mail.h"
#include "tests/unit/trace.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	charset_init();
	return 0;
}

static void
check_mail(struct slice wire)
{
	struct mail *m = mail_read(wire);
	size_t last = 0;

	for (size_t i = 0; i < m->nparagraphs; i++) {
		if (m->paragraphs[i] <= last + 1 || m->paragraphs[i] > m->text_len)
			abort();
		last = m->paragraphs[i];
	}
	if (last != m->text_len || m->header.len > wire.len || m->nparts == 0)
		abort();
	mail_free(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = { (const char *)data, size };
	struct trace whole, pieces;
	size_t piece;

	if (size == 0)
		return 0;
	piece = data[0] % 64 + 1;
	wire = slice_part(wire, 1, size);
	trace_mime(&whole, wire, wire.len);
	trace_mime(&pieces, wire, piece);
	if (whole.broken || !slice_same(buf_slice(&whole.line), buf_slice(&pieces.line)))
		abort();
	trace_free(&whole);
	trace_free(&pieces);
	check_mail(wire);
	return 0;
}
