# From a hash-pinned lock to pip's constraints: `name==version` alone, with its marker where it has one.
s/^([A-Za-z0-9._-]+==[^ ;\\]+)( ; [^\\]+)?[ \\]*$/\1\2/p
