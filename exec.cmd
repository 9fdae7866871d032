@rem The scripts of package.json begin with the shell's exec, so that a signal reaches the program; cmd.exe runs this.
@%*
