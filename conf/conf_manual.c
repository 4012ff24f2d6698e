#include "conf/conf_rows.h"

#define EXPECTS_MAX 256

static void
print_row(FILE *out, const struct conf_row *row)
{
	struct buf text;

	buf_init(&text, EXPECTS_MAX);
	conf_row_expects(row, &text);
	fprintf(out, "\n  %s\n", row->name != NULL ? row->name : conf_block_rows[row->block].label);
	fprintf(out, "      %s", buf_str(&text));
	if (row->preset != NULL)
		fprintf(out, "; default: %s", row->preset);
	else if (row->must)
		fputs("; compulsory", out);
	if (conf_row_is_list(row) && row->name != NULL)
		fputs("; may be repeated", out);
	fprintf(out, "\n      %s\n", row->sentence);
	buf_free(&text);
}

void
conf_manual(FILE *out)
{
	for (enum conf_block block = CONF_IN_MAIN; block < CONF_BLOCKS; block++) {
		const struct conf_block_row *about = &conf_block_rows[block];

		if (about->name == NULL)
			fprintf(out, "NAME VALUE;\n");
		else
			fprintf(out, "\n%s%s%s { NAME VALUE; ... }\n", about->name,
			    about->label != NULL ? " " : "", about->label != NULL ? about->label : "");
		fprintf(out, "    %s\n", about->sentence);
		for (size_t i = 0; i < conf_nrows; i++)
			if (conf_rows[i].block == block)
				print_row(out, &conf_rows[i]);
	}
	fputs("\ninclude PATH...;\n    Takes other files in where it stands; * ? [] match, and a pattern may match nothing.\n"
	    "\nUnits: sizes K, M, G (of 1024); times ms, s, m, h, d. Relative paths are relative to the file that names them.\n"
	    "${NAME} is an environment variable, ${NAME:-default} one that may be missing. # begins a comment.\n", out);
}
