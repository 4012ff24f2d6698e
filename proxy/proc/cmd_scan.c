#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/scanner.h"
#include "filters/tmp.h"
#include "policy/profile/profile.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"
#include "proxy/base/str.h"
#include "proxy/proc/commands.h"

#define MAIL_MAX  (1u << 30)	/* octets of a message */
#define RCPTS_MAX SCAN_RCPTS_MAX

enum { EXIT_ACCEPT = 0, EXIT_REFUSE = 1, EXIT_UNJUDGED = 2 };

struct scan_args {
	const char *conf, *mail;
	bool json;
	struct facts facts;
	struct slice rcpts[RCPTS_MAX];
};

struct outcome {
	uint64_t size;
	const struct conf_profile *profile;
	struct findings found;
	bool judged;
	char trouble[ERR_MAX + 64];
	struct verdict verdict;
};

static const struct option scan_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "ip", required_argument, NULL, 'i' },
	{ "helo", required_argument, NULL, 'e' },
	{ "from", required_argument, NULL, 'f' },
	{ "rcpt", required_argument, NULL, 'r' },
	{ "rcpts", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char scan_help[] =
    "usage: gatepost scan [-c FILE] [--json] [--ip ADDRESS] [--helo NAME] [--from MAILBOX] [--rcpt MAILBOX[,...]] MAIL|-\n\n"
    "Judges one message with the very scanner of the gateway, without any network, and says what it found.\n"
    "Exit 0: accepted (tagged perhaps), 1: refused or held back, 2: it could not be judged.\n"
    "Without -c and without " COMMANDS_CONF " the shipped rules are used, with the antivirus off.\n";

static int
add_rcpts(struct scan_args *args, const char *list)
{
	struct slice rest = slice_of(list);

	while (rest.len > 0) {
		if (args->facts.nrcpts == RCPTS_MAX)
			return -1;
		args->rcpts[args->facts.nrcpts++] = slice_cut(&rest, ',');
	}
	return 0;
}

static int
read_args(int argc, char **argv, struct scan_args *args)
{
	struct err err = { "" };
	int c;

	addr_parse(&args->facts.client, "127.0.0.1", 25, NULL);
	args->facts.rcpts = args->rcpts;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:h", scan_options, NULL)) != -1)
		switch (c) {
		case 'c':
			args->conf = optarg;
			break;
		case 'j':
			args->json = true;
			break;
		case 'i':
			if (addr_parse(&args->facts.client, optarg, 25, &err) == -1)
				return command_usage("scan", err.text);
			break;
		case 'e':
			args->facts.helo = slice_of(optarg);
			break;
		case 'f':
			args->facts.from = slice_of(optarg);
			break;
		case 'r':
			if (add_rcpts(args, optarg) == -1)
				return command_usage("scan", "too many recipients");
			break;
		case 'h':
			fputs(scan_help, stdout);
			return -1;
		default:
			return command_usage("scan", "an option that is not known, or without its value");
		}
	if (optind + 1 != argc)
		return command_usage("scan", "one message is needed: a file, or - for standard input");
	args->mail = argv[optind];
	return 0;
}

/* Without any configuration: the rules that stand beside the program, or where they are installed. */
static struct conf *
conf_without_file(struct err *err)
{
	char exe[2048] = "", rules[2200], path[40];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash = len > 0 ? strrchr(exe, '/') : NULL;
	struct conf *conf;
	int fd = memfd_create("gatepost-scan.conf", MFD_CLOEXEC);

	if (slash != NULL)
		*slash = '\0';
	snprintf(rules, sizeof(rules), "%s/../conf/dist/rules", exe);
	if (slash == NULL || access(rules, R_OK) == -1)
		snprintf(rules, sizeof(rules), "/usr/share/gatepost/rules");
	if (access(rules, R_OK) == -1) {
		err_set(err, "there is no " COMMANDS_CONF " and no rules in %s: name a configuration with -c", rules);
		conf = NULL;
	} else {
		dprintf(fd, "hostname gatepost.invalid; antivirus off; rules \"%s/*.cf\"; backend none { protocol smtp; address 127.0.0.1:1; }\n"
			    "listener none { protocol smtp; address 127.0.0.1:1; }\nroute gatepost.invalid { backend none; }\n", rules);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		conf = conf_read(path, err);
		fprintf(stderr, "gatepost: no configuration: the rules of %s, antivirus off\n", rules);
	}
	close(fd);
	return conf;
}

static struct conf *
find_conf(const struct scan_args *args, struct err *err)
{
	if (args->conf != NULL)
		return conf_read(args->conf, err);
	if (access(COMMANDS_CONF, R_OK) == 0)
		return conf_read(COMMANDS_CONF, err);
	return conf_without_file(err);
}

/* The message as a sealed memfd, as a worker would have it. */
static int
spool_mail(const char *path, uint64_t *size, struct err *err)
{
	int in = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), out;
	char piece[65536];
	ssize_t n = 0;

	if (in == -1)
		return err_sys(err, "open %s", path);
	out = memfd_create("gatepost-spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	*size = 0;
	while (out != -1 && *size <= MAIL_MAX && (n = read(in, piece, sizeof(piece))) > 0) {
		if (write(out, piece, (size_t)n) != n)
			break;
		*size += (uint64_t)n;
	}
	if (in != STDIN_FILENO)
		close(in);
	if (out != -1 && n == 0 && memfd_seal(out) == 0)
		return out;
	if (n > 0)
		err_set(err, "%s is larger than %u MiB", path, MAIL_MAX >> 20);
	else
		err_sys(err, "read %s", path);
	if (out != -1)
		close(out);
	return -1;
}

/* Waits for the scanner's words until its time is over. */
static void
hear(int channel, double timeout, struct outcome *o)
{
	struct pollfd ready = { .fd = channel, .events = POLLIN };
	char msg[CHAN_MAX];
	struct err trouble = { "" };
	unsigned slot;
	ssize_t n;

	for (;;) {
		if (poll(&ready, 1, (int)(timeout * 1000)) == 0) {
			snprintf(o->trouble, sizeof(o->trouble), "the scanner took longer than %g s (scan-timeout)", timeout);
			return;
		}
		n = chan_recv(channel, msg, sizeof(msg), NULL, NULL);
		if (n <= 0) {
			snprintf(o->trouble, sizeof(o->trouble), "the scanner died");
			return;
		}
		switch (scan_get_word((struct slice){ msg, (size_t)n }, 1, &slot, &o->found, &trouble)) {
		case SCAN_TAKEN:
			break;
		case SCAN_FINDINGS:
			o->judged = true;
			return;
		case SCAN_TROUBLE:
			snprintf(o->trouble, sizeof(o->trouble), "%s", trouble.text);
			return;
		case SCAN_BAD:
			snprintf(o->trouble, sizeof(o->trouble), "the scanner answered nonsense");
			return;
		}
	}
}

/* As in the gateway the scanner is a process of its own, which may die or be killed. */
static void
run_scanner(struct stages *stages, const struct conf *conf, const struct facts *facts, int spool, struct outcome *o)
{
	struct scan_job job = { .number = 1, .size = o->size, .facts = *facts };
	struct err err = { "" };
	int pair[2];
	pid_t pid;

	if (chan_pair(pair, &err) == -1 || (pid = fork()) == -1) {
		snprintf(o->trouble, sizeof(o->trouble), "no scanner can be started");
		return;
	}
	if (pid == 0) {
		close(pair[0]);
		scanner_judge(stages, &job, 0, spool, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	hear(pair[0], conf->scan_timeout, o);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pair[0]);
}

static void
json_string(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "\"%s\":", key);
	str_json(b, slice_of(value));
	buf_putc(b, ',');
}

static void
print_json(const struct scan_args *args, const struct outcome *o)
{
	static const char *const kinds[] = { "rule", "virus", "limit" };
	const struct findings *f = &o->found;
	struct buf b;

	buf_init(&b, 1u << 20);
	buf_puts(&b, "{");
	json_string(&b, "mail", args->mail);
	json_string(&b, "verdict", o->verdict.word);
	json_string(&b, "why", o->verdict.why);
	json_string(&b, "reply", o->verdict.reply);
	buf_printf(&b, "\"judged\":%s,\"size\":%llu,\"score\":%.3f,\"tag_score\":%.3f,\"refuse_score\":%.3f,\"findings\":[",
	    o->judged ? "true" : "false", (unsigned long long)o->size, f->score / 1000.0, o->profile->tag_score / 1000.0,
	    o->profile->refuse_score / 1000.0);
	for (unsigned i = 0; i < f->n; i++) {
		buf_puts(&b, i > 0 ? ",{" : "{");
		json_string(&b, "kind", kinds[f->list[i].kind]);
		json_string(&b, "name", f->list[i].name);
		json_string(&b, "text", f->list[i].text);
		buf_printf(&b, "\"score\":%.3f}", f->list[i].score / 1000.0);
	}
	buf_printf(&b, "],\"dropped\":%u,\"us\":{\"mime\":%u,\"rules\":%u,\"antivirus\":%u}}\n", f->dropped, f->mime_us, f->rules_us, f->av_us);
	fwrite(buf_slice(&b).at, 1, buf_len(&b), stdout);
	buf_free(&b);
}

static void
print_text(const struct outcome *o)
{
	const struct findings *f = &o->found;
	char score[16];

	profile_score_text(f->score, score);
	printf("verdict %s%s%s, score %s\n", o->verdict.word, o->verdict.why[0] != '\0' ? ": " : "", o->verdict.why, score);
	for (unsigned i = 0; i < f->n; i++) {
		profile_score_text(f->list[i].score, score);
		printf("%8s  %-32s %s\n", f->list[i].kind == FINDING_RULE ? score : f->list[i].kind == FINDING_VIRUS ? "virus" : "limit",
		    f->list[i].name, f->list[i].text);
	}
	if (f->dropped > 0)
		printf("          and %u more\n", f->dropped);
}

static int
conclude(const struct scan_args *args, struct outcome *o)
{
	if (o->judged)
		profile_judge(o->profile, &o->found, &o->verdict);
	else
		profile_unjudged(&o->verdict, o->trouble);
	if (args->json)
		print_json(args, o);
	else
		print_text(o);
	if (!o->judged || o->verdict.action == CONF_DEFER)
		return EXIT_UNJUDGED;
	return o->verdict.action == CONF_REFUSE || o->verdict.action == CONF_QUARANTINE ? EXIT_REFUSE : EXIT_ACCEPT;
}

/* The profile that holds for the first recipient, or the default one. */
static const struct conf_profile *
profile_for(const struct conf *conf, const struct facts *facts)
{
	struct slice rcpt = facts->nrcpts > 0 ? facts->rcpts[0] : SLICE("");
	struct conf_ask ask = { .domain = rcpt };
	bool ours;

	ask.local = slice_cut(&ask.domain, '@');
	return conf_profile_find(conf, &ask, conf_route_find(conf, &ask, &ours));
}

static int
scan(struct scan_args *args, struct conf *conf)
{
	struct outcome *o = mem_new(sizeof(*o));
	struct stages *stages = NULL;
	struct err err = { "" };
	char *tmp = NULL;
	int spool = -1, rc = EXIT_UNJUDGED;

	args->facts.id = SLICE("scan");
	args->facts.hostname = slice_of(conf->hostname);
	o->profile = profile_for(conf, &args->facts);
	if ((spool = spool_mail(args->mail, &o->size, &err)) == -1 || (tmp = tmp_make(conf->tmp_dir, &err)) == NULL ||
	    (stages = stages_load(conf, NULL, tmp, &err)) == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
	} else {
		run_scanner(stages, conf, &args->facts, spool, o);
		rc = conclude(args, o);
	}
	stages_free(&stages);
	tmp_remove(tmp);
	free(tmp);
	if (spool != -1)
		close(spool);
	free(o);
	return rc;
}

int
command_scan(int argc, char **argv)
{
	struct scan_args args = { 0 };
	struct err err = { "" };
	struct conf *conf;
	int rc = read_args(argc, argv, &args);

	if (rc != 0)
		return rc > 0 ? rc : 0;
	log_verbosity(LOG_LEVEL_WARN);
	log_name("scan");
	conf = find_conf(&args, &err);
	if (conf == NULL) {
		fprintf(stderr, "gatepost: %s\n", err.text);
		return EXIT_UNJUDGED;
	}
	rc = scan(&args, conf);
	conf_unref(&conf);
	return rc;
}
