/* mime_int.h - what the files of the MIME reader share.
 *
 *   mime.c         the door, and the loop that runs the layers
 *   mime_header.c  a header section: lines to fields, and what the fields say of the part
 *   mime_body.c    a body: where delimiters are, and where data runs
 *   mime_part.c    parts opened, fed and closed
 *   mime_uu.c      uuencoded files inside text
 *
 * A layer is a stream of lines. The first is the message as it came; each base64 or quoted-printable
 * message inside is a further one, whose input is what the layer above has decoded. The deepest
 * layer that has input always goes first, so between two layers one small buffer is enough, and
 * nothing recurses. */
#ifndef FILTERS_MIME_INT_H
#define FILTERS_MIME_INT_H

#include "filters/decode.h"
#include "filters/mime.h"
#include "proxy/base/buf.h"

#define BOUNDARY_MAX   200	/* octets of a boundary that count; RFC 2046 allows 70 */
#define BOUNDARIES_MAX 3	/* of one multipart */
#define OPEN_MAX       (MIME_DEPTH_MAX + 1)	/* parts open at once */
#define LAYERS_MAX     (MIME_ENCODINGS_MAX + 1)
#define HOLD_MAX       512	/* octets of a line that may be a delimiter */
#define DOUBT_MAX      1000	/* octets of empty lines before a message's header */
#define LAYER_INPUT    4096
#define OUTPUT         16384

enum part_kind { KIND_LEAF, KIND_MULTIPART, KIND_MESSAGE };

/* A part from its first header line to its end. */
struct open_part {
	struct mime_part part;
	enum part_kind kind;
	bool is_message;	/* its header is a message's, not a body part's */
	bool is_recoded;	/* multipart: its own transfer encoding is taken off (open_junk) */
	bool closed;		/* multipart: the close delimiter has been read */
	bool had_parts;		/* multipart: a delimiter has been read */
	bool has_type, has_encoding, has_filename;
};

struct delimiter {
	uint32_t hash;		/* of the first BOUNDARY_MAX octets */
	size_t len;		/* the boundary's, which may be more than that */
	int owner;		/* index of its multipart among the open parts */
};

enum layer_state { LAYER_HEADER, LAYER_BODY, LAYER_SWITCH };

struct layer {
	struct slice in;	/* what came and is not read yet */
	struct buf again;	/* header lines that turned out to be body: read before `in` */
	bool eof;		/* nothing comes behind that */
	int owner;		/* the part whose decoded body this is; -1: the message */
	enum layer_state state;
	bool blind;		/* too many parts: no line is a delimiter any more */
	bool skip_lf;		/* a CR ended a line; an LF would belong to it */
	bool skip_line;		/* what is left of an overlong delimiter line */
	/* In a body, behind a line end: that line end, which belongs to a delimiter if one
	 * follows (RFC 2046 section 5.1.1), and the beginning of the line. */
	bool line_start;
	char hold[HOLD_MAX];
	size_t hold_len, hold_end_len;
	int target;		/* LAYER_SWITCH: the multipart whose delimiter was read */
	bool closes;
	struct decode decode;	/* of the leaf or encoded message that is open in this layer */
	char mem[LAYER_INPUT];	/* where the layer above puts `in` */
};

/* The header section that is being read; only the deepest layer can be in one. */
struct header_state {
	struct buf text;	/* a field with its folds, or lines in doubt, then the current line */
	size_t line_at;		/* where the current line begins */
	bool cr;		/* it ended in CR; LF may follow */
	bool in_field;		/* text before line_at is a field */
	unsigned garbage;	/* lines in doubt that are not empty */
	unsigned fields;
	size_t octets;
};

struct uu {
	bool wanted;		/* the open leaf is text */
	bool line_start;	/* `line` holds what came of a line that may be a "begin" line */
	bool open;
	size_t len;
	char line[300];
	struct mime_part part;
	struct decode decode;
};

struct mime {
	const struct mime_ops *ops;
	void *owner;
	unsigned parts;		/* begun so far */
	unsigned flags;
	size_t fed;		/* octets of the message before layers[0]->in */
	struct slice piece;
	struct open_part *open[OPEN_MAX];
	int nopen;
	struct delimiter delimiters[OPEN_MAX * BOUNDARIES_MAX];
	int ndelimiters;
	char boundaries[OPEN_MAX * BOUNDARIES_MAX][BOUNDARY_MAX];	/* of delimiters[i]; apart, to search those fast */
	struct layer *layers[LAYERS_MAX];
	int nlayers;
	struct header_state header;
	struct uu uu;
	char out[OUTPUT];
};

/* mime.c */
void layer_push(struct mime *, int owner);
struct layer *layer_below(const struct mime *, const struct layer *);	/* reads what this one decodes; or NULL */
struct slice layer_input(const struct layer *);
void layer_eat(struct layer *, size_t);
void layer_begin_body(struct layer *);

/* mime_header.c */
void header_begin(struct mime *, struct layer *);	/* for the part opened last */
void header_step(struct mime *, struct layer *);	/* there is input */
void header_end_of_input(struct mime *, struct layer *);

/* mime_body.c */
void body_step(struct mime *, struct layer *);		/* there is input */
void body_end_of_input(struct mime *, struct layer *);
void body_skip_line(struct layer *);			/* the rest of an overlong delimiter line */
bool delimiter_find(const struct mime *, const struct layer *, struct slice line, int *owner, bool *closes);
void delimiter_add(struct mime *, int owner, struct slice boundary);
void delimiter_copy(struct mime *, int from, int to);	/* all of one owner to another */
int delimiter_count(const struct mime *, int owner);
void delimiter_drop(struct mime *, int owner);		/* this part's and those of parts inside it */

/* mime_part.c */
struct open_part *part_top(const struct mime *);
void part_open(struct mime *, struct layer *, bool is_message);	/* and its header */
void part_begin(struct mime *, struct layer *);		/* its header is over */
size_t part_data(struct mime *, struct layer *, struct slice raw);	/* octets taken; 0 when it opened a part */
void part_leaf_data(struct mime *, struct slice decoded);
void part_close(struct mime *);
void part_set_name(struct mime_part *, struct slice utf8);
bool part_is_last(const struct mime *);			/* no further parts may be opened */

/* mime_uu.c */
void uu_begin(struct mime *, bool wanted);
void uu_look(struct mime *, struct slice decoded);
void uu_end(struct mime *);

#endif
