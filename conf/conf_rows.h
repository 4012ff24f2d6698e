/* conf_rows.h - the language: which blocks there are, and one row for each setting.
 *
 * The rows check the file, fill the structs of conf.h and print the manual. A row's preset is
 * text and goes the same way as what an administrator writes. */
#ifndef CONF_CONF_ROWS_H
#define CONF_CONF_ROWS_H

#include "conf/conf.h"

enum conf_block {
	CONF_IN_MAIN,		/* outside of any block */
	CONF_IN_ANTIVIRUS,
	CONF_IN_TLS,
	CONF_IN_LISTENER,
	CONF_IN_BACKEND,
	CONF_IN_ROUTE,
	CONF_IN_PROFILE,
	CONF_BLOCKS
};

struct conf_block_row {
	const char *name;	/* "listener"; NULL for CONF_IN_MAIN */
	const char *label;	/* how the manual shows what stands before "{"; NULL: nothing does */
	const char *sentence;
	size_t size;		/* of its struct; 0: lies inside struct conf, and stands once only */
	size_t where;		/* offset of its struct conf_where */
	size_t list, count;	/* offsets into struct conf: the array of pointers, and how many */
};

extern const struct conf_block_row conf_block_rows[CONF_BLOCKS];

enum conf_type {
	CONF_TYPE_ON_OFF,	/* bool */
	CONF_TYPE_NUMBER,	/* unsigned */
	CONF_TYPE_AUTO,		/* unsigned; "auto" is 0 until conf_check.c resolves it */
	CONF_TYPE_SIZE,		/* uint64_t, octets */
	CONF_TYPE_TIME,		/* double, seconds; limits in milliseconds */
	CONF_TYPE_SCORE,	/* int32_t, thousandths; with `words` also none: CONF_NO_SCORE */
	CONF_TYPE_ENUM,		/* an enum; `words` */
	CONF_TYPE_NAME,		/* char *, a block's own name */
	CONF_TYPE_HOST,		/* char * */
	CONF_TYPE_USER,		/* char * */
	CONF_TYPE_REFUSAL,	/* char *, words of an SMTP reply, with {id} {from} {to} {host} */
	CONF_TYPE_CIPHERS,	/* char *, as OpenSSL writes them */
	CONF_TYPE_LOGIN,	/* char *, a user's name for SASL */
	CONF_TYPE_PATH,		/* char *, absolute */
	CONF_TYPE_LOG,		/* enum log_kind, and in `also` a char *: the path */
	CONF_TYPE_BLOB,		/* struct conf_blob */
	CONF_TYPE_REFERENCE,	/* const struct conf_* *, of the block `refers` */
	/* From here on: several words, and may be repeated. */
	CONF_TYPE_FLAGS,	/* unsigned, bits; `words` */
	/* Lists: an array, and in `also` the size_t with its length; max is how many at most, 0: any number. */
	CONF_TYPE_ADDRESSES,	/* struct addr; min is the port where none is written, 0: it is compulsory */
	CONF_TYPE_PLACES,	/* struct conf_place */
	CONF_TYPE_NETWORKS,	/* struct net */
	CONF_TYPE_PATHS,	/* char *, absolute */
	CONF_TYPE_GLOBS,	/* char *, absolute, expanded */
	CONF_TYPE_DOMAINS,	/* char *, a route's: domains in lower case, addresses, those of a file */
	CONF_TYPE_RECIPIENTS,	/* char *, a profile's: the same without * and files */
	CONF_TYPE_USERS,	/* char *, of authenticated users: ann, *@example.org, * */
	CONF_TYPE_PINS,		/* char *, sha256//BASE64 */
	CONF_TYPE_REFERENCES,	/* const struct conf_* *, of the block `refers` */
	CONF_TYPES
};

struct conf_enum_word {
	const char *word;	/* NULL ends the list */
	int value;		/* CONF_NOT_YET: known, and not supported yet */
};

#define CONF_NOT_YET (-1)

struct conf_row {
	enum conf_block block;
	const char *name;	/* NULL: the words between the block's name and its "{" */
	const char *preset;	/* NULL: there is none */
	const char *sentence;
	enum conf_type type;
	int64_t min, max;
	size_t at, also;	/* offsets into the block's struct */
	const struct conf_enum_word *words;	/* CONF_TYPE_PLACES: one that may stand for them all */
	enum conf_block refers;
	bool must;		/* has to be written */
	bool inherits;		/* not written, it is as in the profile that "from" names */
};

#define CONF_ROWS_MAX 160

extern const struct conf_row conf_rows[];
extern const size_t conf_nrows;

const struct conf_row *conf_row_find(enum conf_block, const char *name);	/* name NULL: the label's row */
enum conf_block conf_block_find(const char *name);		/* CONF_BLOCKS: none of this name */
const char *conf_row_name(const struct conf_row *);		/* for messages: a label goes by its block's name */
const char *conf_row_word(enum conf_block, const char *setting, int value);	/* what is written for an enum's value */
bool conf_row_is_list(const struct conf_row *);		/* takes several words, and may be repeated */
void conf_row_expects(const struct conf_row *, struct buf *);	/* appends "a size from 1K to 4G" */

/* Frees what the rows of a block have put into its struct. */
void conf_rows_free(enum conf_block, void *block);

#endif
