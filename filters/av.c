/* av.c - libclamav: settings, loading, one scan and what its answer means.
 *
 * Where libclamav 1.4 answers "clean" without having looked (all seen in 1.4.6), and what helps:
 *
 * no temporary file can be made     its codes for that are swallowed inside, but an error line goes
 *                                   to the message callback: AV_ERROR
 * too deep, too many, too much      CL_SCAN_HEURISTIC_EXCEEDS_MAX makes it a name: AV_LIMIT
 * unpacked up to the file limit     a layer of about that size came by (on_layer): AV_LIMIT
 * zip members that are not opened   zip.c looks at every layer: AV_LIMIT
 * HTML over the size to normalise   neither taken apart nor searched as it is: a second scan with
 *                                   the HTML parser off searches it (leave_out)
 * bytes that were clean before      its cache is keyed by MD5 and knows nothing of options, nor of
 *                                   the error that the first look ran into: the cache is off
 *
 * The size to normalise is the remedy for a stall: 1.68 MB of unescape() assignments in a script
 * cost 13 s, which CL_ENGINE_MAX_SCANTIME does not interrupt; 256 KiB of them cost 0.2 s. The
 * limit holds for HTML wherever it is, in the raw message and inside archives too; and so that
 * many pieces below it stall no better, the parser gets 2 MiB of one message, all in all. */
#include "filters/av_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "filters/zip.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"

#define HTML_MAX    (256u << 10)	/* octets of HTML that its parser may have */
#define HTML_ALL    (2u << 20)	/* and of one message with its parts */
#define UNPACK_STEP 8192		/* libclamav's unpackers stop within one such piece below the file limit */
#define ROOM_BYTES  (16u << 20)		/* what the temporary directory must have beside the piece itself */
#define ROOM_INODES 2048
#define WORDS_MAX   300			/* octets of libclamav's own words that are kept */

/* What libclamav said through its callbacks. There is one for the process: the message callback's
 * context is missing until a scan has its temporary directory, and just then it matters. */
static struct {
	bool loading;
	uint64_t file_limit;
	unsigned errors;		/* lines of that severity */
	char error[WORDS_MAX];		/* and the words of the first ones */
	const char *unseen;		/* something that was not wholly looked at */
	bool parse_html;
	bool html_left_out;		/* and so neither parsed nor searched */
} heard;

static uint64_t html_parsed;		/* octets of this message and its parts so far */

/* The first two lines say it: what went wrong, and what could not be done because of that. */
static void
keep_error(struct slice words)
{
	struct buf line;

	if (heard.errors++ >= 2)
		return;
	buf_init(&line, WORDS_MAX - 1);
	buf_printf(&line, "%s%s", heard.error, heard.error[0] != '\0' ? "; " : "");
	if (words.len > 0 && str_escape(&line, words, WORDS_MAX / 2 - 10))
		slice_copy(buf_slice(&line), heard.error, sizeof(heard.error));
	buf_free(&line);
}

static void
on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
	struct slice words = slice_of(text);
	struct buf line;

	(void)full;
	(void)context;
	while (words.len > 0 && strchr("\r\n ", words.at[words.len - 1]) != NULL)
		words.len--;
	if (severity >= CL_MSG_ERROR)
		keep_error(words);
	else if (severity >= CL_MSG_WARN && heard.loading) {
		buf_init(&line, WORDS_MAX);
		if (str_escape(&line, words, WORDS_MAX - 10))
			log_warn("libclamav: %s", buf_str(&line));
		buf_free(&line);
	}
}

/* What only a scan without the HTML parser will search. Text counts too: it may turn out to be
 * HTML further on. Being searched as text first, it need not be left out for its size. */
static bool
leave_out(const char *type, size_t size)
{
	bool html = strcmp(type, "CL_TYPE_HTML") == 0;

	if (!heard.parse_html || (!html && !slice_starts(slice_of(type), "CL_TYPE_TEXT")))
		return false;
	if (size > HTML_MAX)
		return html;
	html_parsed += size;
	return html_parsed > HTML_ALL;
}

/* Called for the piece itself and for everything that comes out of it, before it is scanned. */
static cl_error_t
on_layer(int fd, const char *type, const char **ancestors, size_t parent_size, const char *name, size_t size,
    const char *bytes, uint32_t depth, uint32_t attributes, void *context)
{
	(void)fd, (void)ancestors, (void)parent_size, (void)name, (void)attributes, (void)context;
	if (bytes == NULL) {
		keep_error(SLICE("something inside cannot be read"));
		return CL_CLEAN;
	}
	if (heard.unseen == NULL)
		heard.unseen = zip_unseen((struct slice){ bytes, size }, heard.file_limit);
	if (heard.unseen == NULL && depth > 0 && size + UNPACK_STEP > heard.file_limit)
		heard.unseen = "Heuristics.Limits.Exceeded.MaxFileSize";
	if (!leave_out(type, size))
		return CL_CLEAN;
	heard.html_left_out = true;
	return CL_BREAK;	/* go on behind it */
}

static void
listen_anew(bool loading, uint64_t file_limit)
{
	memset(&heard, 0, sizeof(heard));
	heard.loading = loading;
	heard.file_limit = file_limit;
}

/* --- loading --- */

static int
library_init(struct err *err)
{
	static bool done;
	unsigned char digest[64];
	cl_error_t code;

	if (done)
		return 0;
	cl_set_clcb_msg(on_message);
	if ((code = cl_init(CL_INIT_DEFAULT)) != CL_SUCCESS)
		return err_set(err, "libclamav does not start: %s", cl_strerror(code));
	/* A jailed scanner opens no file outside its temporary directory: the time zone and
	 * OpenSSL's settings are read now. */
	tzset();
	cl_hash_data("md5", "", 0, digest, NULL);
	cl_hash_data("sha1", "", 0, digest, NULL);
	cl_hash_data("sha256", "", 0, digest, NULL);
	done = true;
	return 0;
}

static int
apply_settings(struct av *av, const struct conf_antivirus *conf, struct err *err)
{
	const struct { enum cl_engine_field field; long long value; const char *what; } settings[] = {
		{ CL_ENGINE_MAX_FILESIZE,      (long long)conf->max_file,          "max-file" },
		{ CL_ENGINE_MAX_SCANSIZE,      (long long)conf->max_scan,          "max-scan" },
		{ CL_ENGINE_MAX_RECURSION,     conf->max_recursion,                "max-recursion" },
		{ CL_ENGINE_MAX_FILES,         conf->max_files,                    "max-files" },
		{ CL_ENGINE_MAX_SCANTIME,      (long long)(conf->max_time * 1000), "max-time" },
		{ CL_ENGINE_MAX_HTMLNORMALIZE, HTML_MAX,                           "size of HTML" },
		{ CL_ENGINE_DISABLE_CACHE,     1,                                  "cache" },
	};

	for (size_t i = 0; i < NITEMS(settings); i++)
		if (cl_engine_set_num(av->engine, settings[i].field, settings[i].value) != CL_SUCCESS)
			return err_set(err, "libclamav does not take %lld as its %s", settings[i].value, settings[i].what);
	if (cl_engine_set_str(av->engine, CL_ENGINE_TMPDIR, av->tmp_dir) != CL_SUCCESS)
		return err_set(err, "libclamav does not take %s as its temporary directory", av->tmp_dir);
	cl_engine_set_clcb_file_inspection(av->engine, on_layer);
	return 0;
}

static int
no_signatures(const char *path, struct err *err)
{
	return err_set(err, "no virus signatures in %s: install clamav-freshclam and run it, or set antivirus off", path);
}

static int
load_database(struct av *av, const char *path, struct err *err)
{
	unsigned int loaded = 0;
	struct stat st;
	cl_error_t code;

	if (stat(path, &st) == -1)
		return errno == ENOENT ? no_signatures(path, err) : err_sys(err, "virus signatures %s", path);
	if (access(path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) == -1)
		return err_sys(err, "read virus signatures in %s", path);
	listen_anew(true, 0);
	code = cl_load(path, av->engine, &loaded, CL_DB_STDOPT);
	/* CL_EOPEN of a directory that can be read: it holds no file that libclamav knows. */
	if (S_ISDIR(st.st_mode) && (code == CL_EOPEN || (code == CL_SUCCESS && loaded == 0)))
		return no_signatures(path, err);
	if (code != CL_SUCCESS)
		return err_set(err, "cannot load virus signatures from %s: %s (%s)", path, cl_strerror(code), heard.error);
	av->signatures += loaded;
	return 0;
}

static int
load_all(struct av *av, const struct conf_antivirus *conf, struct err *err)
{
	cl_error_t code;

	if (apply_settings(av, conf, err) == -1)
		return -1;
	for (size_t i = 0; i < conf->ndatabases; i++)
		if (load_database(av, conf->databases[i], err) == -1)
			return -1;
	if (av->signatures == 0)
		return no_signatures(conf->ndatabases > 0 ? conf->databases[0] : "the configuration", err);
	listen_anew(true, 0);
	if (av_canary_load(av, err) == -1)
		return -1;
	if ((code = cl_engine_compile(av->engine)) != CL_SUCCESS)
		return err_set(err, "libclamav cannot compile its signatures: %s (%s)", cl_strerror(code), heard.error);
	return av_canary(av, err);
}

struct av *
av_load(const struct conf_antivirus *conf, const char *tmp_dir, struct err *err)
{
	struct av *av;

	if (library_init(err) == -1)
		return NULL;
	av = mem_new(sizeof(*av));
	av->tmp_dir = mem_str(tmp_dir);
	av->max_file = conf->max_file;
	av->alert_encrypted = conf->alert_encrypted;
	if ((av->engine = cl_engine_new()) == NULL) {
		err_set(err, "libclamav has no memory for its engine");
		av_free(&av);
	} else if (load_all(av, conf, err) == -1)
		av_free(&av);
	return av;
}

void
av_free(struct av **avp)
{
	struct av *av = *avp;

	*avp = NULL;
	if (av == NULL)
		return;
	if (av->engine != NULL)
		cl_engine_free(av->engine);
	free(av->tmp_dir);
	free(av);
}

size_t
av_signatures(const struct av *av)
{
	return av->signatures;
}

int
av_set_tmp(struct av *av, const char *tmp_dir, struct err *err)
{
	if (cl_engine_set_str(av->engine, CL_ENGINE_TMPDIR, tmp_dir) != CL_SUCCESS)
		return err_set(err, "libclamav does not take %s as its temporary directory", tmp_dir);
	free(av->tmp_dir);
	av->tmp_dir = mem_str(tmp_dir);
	return 0;
}

/* --- one scan --- */

/* Names that say "not wholly looked at"; all others are malware. */
static const char *const limit_names[] = { "Heuristics.Limits.Exceeded", "Heuristics.Encrypted." };

/* What libclamav's codes mean. A code that is not here is a failure. */
static const struct {
	cl_error_t code;
	enum av_result result;
	const char *name;
} codes[] = {
	{ CL_CLEAN,     AV_CLEAN, NULL },
	{ CL_VIRUS,     AV_FOUND, "Unnamed" },
	{ CL_EMAXREC,   AV_LIMIT, "Heuristics.Limits.Exceeded.MaxRecursion" },
	{ CL_EMAXSIZE,  AV_LIMIT, "Heuristics.Limits.Exceeded.MaxScanSize" },
	{ CL_EMAXFILES, AV_LIMIT, "Heuristics.Limits.Exceeded.MaxFiles" },
	{ CL_ETIMEOUT,  AV_LIMIT, "Heuristics.Limits.Exceeded.MaxScanTime" },
	{ CL_EUNPACK,   AV_LIMIT, "Unreadable.Packed" },
	{ CL_EFORMAT,   AV_LIMIT, "Unreadable.Format" },
	{ CL_EPARSE,    AV_LIMIT, "Unreadable.Format" },
};

static enum av_result
by_name(const char *name)
{
	for (size_t i = 0; i < NITEMS(limit_names); i++)
		if (slice_starts(slice_of(name), limit_names[i]))
			return AV_LIMIT;
	return AV_FOUND;
}

static enum av_result
by_code(cl_error_t code, const char **name)
{
	for (size_t i = 0; i < NITEMS(codes); i++)
		if (codes[i].code == code) {
			if (*name == NULL)
				*name = codes[i].name;
			return codes[i].result == AV_FOUND ? by_name(*name) : codes[i].result;
		}
	return AV_ERROR;
}

static void
put_name(char *found, size_t size, const char *name)
{
	size_t n = 0;

	for (; name[n] != '\0' && n + 1 < size; n++)
		found[n] = name[n] > ' ' && name[n] < 0x7f ? name[n] : '_';
	found[n] = '\0';
}

static enum av_result
failed(const char *type, const char *name, const char *why, struct err *err)
{
	struct buf piece;
	const char *text;

	buf_init(&piece, 256);
	str_escape(&piece, slice_of(type), 80);
	if (name[0] != '\0') {
		buf_puts(&piece, " ");
		str_escape(&piece, slice_of(name), 80);
	}
	text = buf_str(&piece);
	err_set(err, "the antivirus cannot judge %s: %s", text != NULL ? text : "a piece", why);
	buf_free(&piece);
	return AV_ERROR;
}

static struct cl_scan_options
options_for(const struct av *av, bool mail, bool html)
{
	struct cl_scan_options options = {
		.general = CL_SCAN_GENERAL_HEURISTICS,
		.parse = ~0u,
		.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX,
	};

	if (!mail)
		options.parse &= ~(uint32_t)CL_SCAN_PARSE_MAIL;
	if (!html)
		options.parse &= ~(uint32_t)CL_SCAN_PARSE_HTML;
	if (av->alert_encrypted)
		options.heuristic |= CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE | CL_SCAN_HEURISTIC_ENCRYPTED_DOC;
	return options;
}

/* Writes `found` only when the result is AV_FOUND or AV_LIMIT. */
static enum av_result
scan_once(struct av *av, struct slice bytes, struct cl_scan_options options, const char *type, const char *name,
    char *found, size_t size, struct err *err)
{
	const char *virus = NULL;
	unsigned long scanned = 0;	/* in units of CL_COUNT_PRECISION; libclamav wants the place */
	enum av_result result;
	cl_fmap_t *map;
	cl_error_t code;

	if ((map = cl_fmap_open_memory(bytes.at, bytes.len)) == NULL)
		return failed(type, name, "no memory for it", err);
	code = cl_scanmap_callback(map, name[0] != '\0' ? name : NULL, &virus, &scanned, av->engine, &options, NULL);
	cl_fmap_close(map);
	result = by_code(code, &virus);
	if (result == AV_CLEAN && heard.unseen != NULL) {
		result = AV_LIMIT;
		virus = heard.unseen;
	}
	/* Malware stays malware; but "clean" and "too much" are worth nothing when libclamav was
	 * hindered. */
	if (result != AV_FOUND && heard.errors > 0)
		return failed(type, name, heard.error, err);
	if (result == AV_ERROR)
		return failed(type, name, cl_strerror(code), err);
	if (result != AV_CLEAN)
		put_name(found, size, virus);
	return result;
}

enum av_result
av_look(struct av *av, struct slice bytes, bool is_mail, const char *type, const char *name, char *found, size_t size,
    struct err *err)
{
	/* max_file is about files inside: a whole message may be larger (its own limit was the
	 * listener's), and libclamav would refuse to look into it. What is decoded out of it is no
	 * larger than itself, so on_layer does not take it for something that was cut. */
	uint64_t whole = bytes.len + (uint64_t)UNPACK_STEP;
	uint64_t limit = is_mail && whole > av->max_file ? whole : av->max_file;
	enum av_result result, again;

	if (cl_engine_set_num(av->engine, CL_ENGINE_MAX_FILESIZE, (long long)limit) != CL_SUCCESS)
		return failed(type, name, "its size is no limit that libclamav takes", err);
	if (bytes.len > limit) {
		put_name(found, size, "Heuristics.Limits.Exceeded.MaxFileSize");
		return AV_LIMIT;
	}
	if (is_mail)
		html_parsed = 0;
	listen_anew(false, limit);
	heard.parse_html = true;
	result = scan_once(av, bytes, options_for(av, is_mail, true), type, name, found, size, err);
	if (!heard.html_left_out || result == AV_FOUND || result == AV_ERROR)
		return result;
	heard.parse_html = false;
	again = scan_once(av, bytes, options_for(av, is_mail, false), type, name, found, size, err);
	return again != AV_CLEAN ? again : result;
}

/* A temporary directory that fills up while scanning makes libclamav overlook things; its error
 * lines tell, but not to run into it is better. */
static int
check_room(const struct av *av, size_t len, struct err *err)
{
	struct statvfs fs;

	if (statvfs(av->tmp_dir, &fs) == -1)
		return err_sys(err, "the antivirus's temporary directory %s", av->tmp_dir);
	/* A file system that counts neither says 0 of 0. */
	if (fs.f_blocks > 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_BYTES + (uint64_t)len)
		return err_set(err, "the antivirus's temporary directory %s is full: %llu octets left", av->tmp_dir,
		    (unsigned long long)fs.f_bavail * fs.f_frsize);
	if (fs.f_files > 0 && fs.f_favail < ROOM_INODES)
		return err_set(err, "the antivirus's temporary directory %s is full: %llu files left", av->tmp_dir,
		    (unsigned long long)fs.f_favail);
	return 0;
}

enum av_result
av_scan(struct av *av, struct slice bytes, bool is_mail, const char *type, const char *name, char *found, size_t size,
    struct err *err)
{
	if (size > 0)
		found[0] = '\0';
	if (bytes.len == 0)
		return AV_CLEAN;
	if (check_room(av, bytes.len, err) == -1)
		return AV_ERROR;
	return av_look(av, bytes, is_mail, type, name, found, size, err);
}

const char *
av_library(void)
{
	return cl_retver();
}
