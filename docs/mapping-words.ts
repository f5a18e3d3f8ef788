// What docs/mapping.md says beside its tables.

export const PREFACE = `# Mapping: what is retrieved, and where each field comes from

Written from the tables in \`transformers/mapping\` by \`npm run mapping\`; a test holds the
tables to the code, field by field and path by path. Each raw record is one unit of a stream; a
pure function turns it into events.

In the tables \`–\` means: the vendor has nothing there, and the field is null or empty;
\`same\`: as in the column before. Several paths stand for all of them, or for the first that
there is. "Fetch time" is the time at which the answer arrived. \`[]\` is any element of a list,
and what lies below a path counts, too. Fields of the lifecycle (\`reopen_count\`,
\`correlation_uid\`, a finding's \`entity_uid\`) come from no vendor.
`

export const RULES = `## Rules

- **What makes a dead letter.** A record without the id by which its stream names things, a row
  of weaknesses without asset or CVE, an issue that names no CVE; and anything that is not UTF-8
  JSON, or for CSPM's download not one row of its CSV. Any other field may be missing or of
  another type: it is then null.
- **A scan result of Compute with one weakness that nobody can name** (neither \`cve\` nor
  \`title\`, or no object at all) goes to the dead-letter topic as a whole, with the index of the
  weakness. Skipping that one would lose it silently, and closing what the asset showed before
  would be wrong. What it showed before stays open meanwhile.
- **"No findings" and "does not tell".** Compute tells findings only by a list. Absent, null, an
  empty list beside a count above 0, or a scan that ended with an error (\`err\`) closes nothing.
  A service of Xpanse tells them only in its details.
- **A finding's id** is made of asset, kind, weakness, package type, package name and place: the
  port of a service, or the row's path for what no package manager of the system owns. Version
  and severity are not in it: an upgrade that does not fix is the same finding. Rows with one id
  are one finding: versions, paths and fixes are the union, the most severe row gives the rest.
- **Package types** are deb, rpm, apk, maven, npm, pypi, gem, go, nuget, binary, app, os; another
  word is kept in lower case. Compute's \`package\` (and Cortex's \`os\`) is the format of the
  distribution, \`os\` where that is none of the first three. For Compute the type comes from
  \`packageType\` of the row; else from \`packages[]\` by name and version, then by name; else
  \`applications[]\` (app); else a name that is a Go module path (go); else a Windows scanner
  (os); else the distribution: names of source packages are in none of the lists.
- **Strong keys** are a provider's own instance id, an image's digest, its id, a cloud resource
  id and the Cortex agent id, in this order. A text counts only in the provider's form (\`i-…\`,
  a UUID, a number within a project): Cortex gives a private address as \`strong_id\` of devices
  that only the network saw. Names, MAC and IP addresses are listed, but decide nothing. Default
  names (\`localhost\`, \`ip-10-…\`) and locally administered MAC addresses are not listed.
- **Public DNS names** are those under a suffix under which AWS or Azure publishes public
  addresses, or which the vendor itself calls public.
- **Addresses** of loopback, link-local and multicast networks are left out.
- **Times** before 1990 or more than a day after the fetch are null: vendors write "none" as 0,
  -1 or the year 1. Bare numbers are epoch milliseconds where no rule says otherwise.
- **Unmapped fields** are JSON: at most 32 of them with 4 kB each; others are named in
  \`_omitted\`. Lists of packages, binaries, image history and compliance issues are not copied;
  they are in the raw record.
- **A finding row with \`is_active\` false** shows nothing: the finding it showed before is
  closed.
- **CSPM names assets of weaknesses by id alone**: the assets come from its other streams.
`

export const NOT_READ = `## What is not read

Compliance issues, secrets and malware lists of Compute; Prisma Cloud's alerts; address ranges
and websites of Xpanse; Cortex alerts, and issues of other categories than weaknesses.
`
