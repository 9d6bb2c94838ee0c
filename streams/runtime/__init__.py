"""How the steps run on Faust: agents, patience with what is down, a watchdog and a supervisor."""
