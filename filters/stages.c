/* stages.c - one message through the stages: taken apart, weighed by the rules, searched for
 * malware. Findings only; what they mean for the message is decided elsewhere. */
#include "filters/stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filters/charset.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#define UNSUPPORTED_SHOWN 10	/* lines of one rules file that are named in the log */
#define NAMES_MAX         10	/* different names of each kind that the antivirus may add */

struct stages {
	struct rules *rules;
	struct av *av;		/* NULL with antivirus off */
};

/* --- loading --- */

struct unsupported {
	char *file;		/* the one that the count is of */
	unsigned n;
};

static void
unsupported_sum(struct unsupported *u)
{
	if (u->n > UNSUPPORTED_SHOWN)
		log_warn("%s: %u lines ask for what is not supported; their rules never hit", u->file, u->n);
	free(u->file);
	*u = (struct unsupported){ NULL, 0 };
}

static void
on_unsupported(void *arg, const char *file, unsigned line, const char *why)
{
	struct unsupported *u = arg;

	if (u->file == NULL || strcmp(u->file, file) != 0) {
		unsupported_sum(u);
		u->file = mem_str(file);
	}
	if (++u->n <= UNSUPPORTED_SHOWN)
		log_warn("%s:%u: %s", file, line, why);
}

struct stages *
stages_load(const struct conf *conf, const struct rules_files *files, const char *tmp_dir, struct err *err)
{
	struct stages *stages = mem_new(sizeof(*stages));
	struct unsupported unsupported = { NULL, 0 };

	charset_init();
	stages->rules = files != NULL ? rules_files_load(files, on_unsupported, &unsupported, err) :
					rules_load(conf->rules, conf->nrules, on_unsupported, &unsupported, err);
	unsupported_sum(&unsupported);
	if (stages->rules == NULL) {
		stages_free(&stages);
		return NULL;
	}
	/* av_load ends with a canary that was found, or fails. */
	if (conf->antivirus.on && (stages->av = av_load(&conf->antivirus, tmp_dir, err)) == NULL)
		stages_free(&stages);
	return stages;
}

void
stages_free(struct stages **stagesp)
{
	struct stages *stages = *stagesp;

	*stagesp = NULL;
	if (stages == NULL)
		return;
	if (stages->rules != NULL)
		rules_free(&stages->rules);
	av_free(&stages->av);
	free(stages);
}

struct av *
stages_av(struct stages *stages)
{
	return stages->av;
}

size_t
stages_rules(const struct stages *stages)
{
	return rules_count(stages->rules);
}

/* --- judging --- */

static const struct { unsigned flag; const char *name, *text; } mime_limits[] = {
	{ MIME_TOO_DEEP,       "MIME_TOO_DEEP",       "parts are nested deeper than is looked at" },
	{ MIME_TOO_MANY_PARTS, "MIME_TOO_MANY_PARTS", "more parts than are looked at" },
	{ MIME_FIELD_TOO_LONG, "MIME_FIELD_TOO_LONG", "a header field longer than is looked at" },
	{ MIME_HEADER_TOO_BIG, "MIME_HEADER_TOO_BIG", "a header larger than is looked at" },
};

/* Microseconds since *mark, which moves on to now. */
static uint32_t
lap(struct timespec *mark)
{
	struct timespec now;
	int64_t us;

	clock_gettime(CLOCK_MONOTONIC, &now);
	us = (int64_t)(now.tv_sec - mark->tv_sec) * 1000000 + (now.tv_nsec - mark->tv_nsec) / 1000;
	*mark = now;
	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* RFC 2046 section 5.2.2: the pieces of a message/partial are put together by the reader, behind
 * everyone who could judge the whole. (message/external-body, which shares a flag with it, brings
 * nothing along that was not judged.) */
static bool
is_piece(const struct mail *mail)
{
	if (mail->flags & MIME_PARTIAL)
		for (size_t i = 0; i < mail->nparts; i++)
			if (strcmp(mail->parts[i].info.type, "message/partial") == 0)
				return true;
	return false;
}

static void
find_limits(const struct mail *mail, struct findings *found)
{
	for (size_t i = 0; i < NITEMS(mime_limits); i++)
		if (mail->flags & mime_limits[i].flag)
			findings_add(found, FINDING_LIMIT, mime_limits[i].name, 0, mime_limits[i].text);
	if (mail->truncated)
		findings_add(found, FINDING_LIMIT, "MAIL_TOO_BIG_TO_DECODE", 0, "decoded it is larger than is looked at");
	/* The antivirus has seen all of it and the rules four megabytes: on record, but no reason to refuse. */
	if (mail->text_cut)
		findings_add(found, FINDING_RULE, "TEXT_CUT", 0, "rules saw only the beginning of a very long text");
	if (is_piece(mail))
		findings_add(found, FINDING_LIMIT, "MIME_PARTIAL", 0, "a piece of a message that is put together elsewhere");
}

/* The same malware is found in the message as it came and again in the decoded part. */
static void
add_name(struct findings *found, enum finding_kind kind, const char *name, const char *where)
{
	unsigned known = 0;

	for (unsigned i = 0; i < found->n; i++)
		if (found->list[i].kind == kind) {
			if (strcmp(found->list[i].name, name) == 0)
				return;
			known++;
		}
	if (known < NAMES_MAX)
		findings_add(found, kind, name, 0, where);
}

/* -1: the antivirus could not judge this piece. */
static int
search_piece(struct av *av, struct slice bytes, const struct mime_part *part, struct findings *found, struct err *err)
{
	char name[FINDING_NAME_MAX], where[FINDING_TEXT_MAX];
	const char *type = part != NULL ? part->type : "message/rfc822";
	const char *file = part != NULL ? part->name : "";

	if (part == NULL)
		snprintf(where, sizeof(where), "in the message");
	else
		snprintf(where, sizeof(where), "in part %u, %.60s%s%.60s", part->number, type, file[0] != '\0' ? " " : "", file);
	switch (av_scan(av, bytes, part == NULL, type, file, name, sizeof(name), err)) {
	case AV_CLEAN:
		return 0;
	case AV_FOUND:
		add_name(found, FINDING_VIRUS, name, where);
		return 0;
	case AV_LIMIT:
		add_name(found, FINDING_LIMIT, name, where);
		return 0;
	case AV_ERROR:
		break;
	}
	return -1;
}

/* libclamav takes the raw message apart in its own way, which is not the reader's in one case out
 * of six (reference: MIMEminer); so it gets the parts as our reader decoded them too. */
static int
search(struct av *av, const struct mail *mail, struct findings *found, struct err *err)
{
	if (search_piece(av, mail->full, NULL, found, err) == -1)
		return -1;
	for (size_t i = 0; i < mail->nparts; i++) {
		const struct mail_part *part = &mail->parts[i];

		if (part->len > 0 &&
		    search_piece(av, (struct slice){ part->data, part->len }, &part->info, found, err) == -1)
			return -1;
	}
	return 0;
}

int
stages_run(struct stages *stages, struct slice full, const struct facts *facts, struct findings *found, struct err *err)
{
	struct timespec mark;
	struct mail *mail;
	int rc = 0;

	memset(found, 0, sizeof(*found));
	clock_gettime(CLOCK_MONOTONIC, &mark);
	mail = mail_read(full);
	find_limits(mail, found);
	found->mime_us = lap(&mark);
	rules_run(stages->rules, mail, facts, found);
	found->rules_us = lap(&mark);
	if (stages->av != NULL)
		rc = search(stages->av, mail, found, err);
	found->av_us = lap(&mark);
	mail_free(&mail);
	return rc;
}
