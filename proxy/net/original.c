#include "proxy/net/original.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

/* Of linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h, which do not go together with netinet/in.h. */
#define ORIGINAL_DST_4 80
#define ORIGINAL_DST_6 80

int
original_destination(int fd, bool redirected, struct addr *to, struct err *err)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return err_sys(err, "getsockname");
	if (redirected) {
		bool six = ss.ss_family == AF_INET6;

		len = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
		if (getsockopt(fd, six ? SOL_IPV6 : SOL_IP, six ? ORIGINAL_DST_6 : ORIGINAL_DST_4, &ss, &len) == -1)
			return err_sys(err, "the kernel does not know where it was going (SO_ORIGINAL_DST)");
	}
	addr_from(to, (struct sockaddr *)&ss, len);
	return 0;
}

/* Everything that begins with 127 is here (RFC 1122 section 3.2.1.3), though only 127.0.0.1 is on the list. */
static bool
is_loopback(const struct addr *a)
{
	const struct sockaddr_in *in4 = (const void *)&a->ss;

	return a->ss.ss_family == AF_INET && (ntohl(in4->sin_addr.s_addr) >> 24) == 127;
}

bool
original_is_ours(const struct addr *to)
{
	char wanted[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];
	struct ifaddrs *all;
	bool ours = is_loopback(to);

	if (ours || getifaddrs(&all) == -1)
		return ours;
	addr_host(to, wanted);
	for (const struct ifaddrs *i = all; i != NULL && !ours; i = i->ifa_next) {
		struct addr own;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != to->ss.ss_family)
			continue;
		addr_from(&own, i->ifa_addr,
		    i->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		addr_host(&own, text);
		ours = strcmp(text, wanted) == 0;
	}
	freeifaddrs(all);
	return ours;
}
